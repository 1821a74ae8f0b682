"""A real Alertmanager, from Debian's package, on loopback."""

from tests.alertmanager.program import AlertmanagerError, find_or_download
from tests.alertmanager.server import Alertmanager

__all__ = ["Alertmanager", "AlertmanagerError", "find_or_download"]
