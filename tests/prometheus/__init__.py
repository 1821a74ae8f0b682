"""A real Prometheus with its promtool, from Debian's package, on loopback."""

from tests.debian_package import PackageError
from tests.prometheus.program import find_or_download
from tests.prometheus.promtool import run_promtool
from tests.prometheus.server import Prometheus

__all__ = ["PackageError", "Prometheus", "find_or_download", "run_promtool"]
