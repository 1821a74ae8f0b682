"""Clocks: approvals and windows are judged by them, and AWS takes no request that is signed at another time."""

from datetime import timedelta

from bokgu.api.fields import format_duration
from bokgu.core.doctor.outcome import Outcome, fail, warn, well
from bokgu.core.operation import FRESH

CLOCK = "clock"

SIGNATURE = timedelta(minutes=5)
"""How far the moment of a signature may be from AWS's clock (IAM User Guide, "AWS Signature Version 4": a request must
reach AWS within five minutes of its time stamp)."""

HINT = "let NTP set this machine's clock, such as with chrony; and run bokgu doctor where the operator runs"


def check_clock(whose: str, ahead: timedelta | None) -> Outcome:
    """The other clock shows the same time as ours, within what the operator calls fresh (two seconds)."""
    if ahead is None:
        return warn(
            CLOCK, whose, "not known: its answer has no date", "look at what answers in its place, such as a proxy"
        )
    far = abs(ahead)
    if far <= FRESH:
        return well(CLOCK, whose, "it shows the same time")
    said = f"it is {format_duration(far)} {'ahead of' if ahead > timedelta() else 'behind'} this machine's clock"
    if far >= SIGNATURE:
        return fail(CLOCK, whose, f"{said}: AWS refuses what is signed more than 5m away", HINT)
    return warn(CLOCK, whose, f"{said}: what begins and ends by the clock is judged with that doubt", HINT)
