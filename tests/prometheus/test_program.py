"""Prometheus and promtool come from Debian's package, once."""

from pathlib import Path

import pytest

from tests.prometheus import PackageError, find_or_download


def test_they_come_from_the_cache_the_second_time() -> None:
    prometheus, promtool = find_or_download()
    begun = prometheus.stat().st_mtime
    assert promtool.exists()
    assert find_or_download() == (prometheus, promtool)
    assert prometheus.stat().st_mtime == begun


def test_without_apt_get_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="install Prometheus"):
        find_or_download({"PATH": str(tmp_path), "BOKGU_CACHE_DIR": str(tmp_path)})
    assert not list(tmp_path.glob("prometheus-*/usr"))
