"""Python imports this first where its folder is on PYTHONPATH: then datetime and time are CLOCK_AHEAD seconds ahead.

Monotonic time stays as it is, as it does where a machine's clock is wrong.
"""

import datetime
import os
import time

_AHEAD = float(os.environ.get("CLOCK_AHEAD") or 0)
_time = time.time
_datetime = datetime.datetime


class _Kind(type):
    """Moments that C code makes, such as pydantic's, are of the class that was there before: they count, too."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _datetime)


class _Shifted(datetime.datetime, metaclass=_Kind):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "_Shifted":
        return cls.fromtimestamp(_time() + _AHEAD, tz)

    @classmethod
    def utcnow(cls) -> "_Shifted":
        return cls.now(datetime.UTC).replace(tzinfo=None)


time.time = lambda: _time() + _AHEAD
datetime.datetime = _Shifted  # type: ignore[misc]  # it is a class of another name, and that is the point
