"""A real Chromium without a screen: one that is installed, or Debian's package, unpacked with what it needs."""

from tests.chromium.browser import Browser, Visit
from tests.debian_package import PackageError

__all__ = ["Browser", "PackageError", "Visit"]
