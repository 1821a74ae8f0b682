"""The tool that says what a world costs."""

from .measure import measure


def test_small_world_costs_little() -> None:
    """The target of a thousand services is under 10 % of one core at speed 60; a twentieth must stay far below."""
    found = measure(services=50, tasks=3, speed=60, minutes=2)
    assert found.cpu_percent < 10
    assert found.metrics >= 50 * 10
    assert found.points >= found.metrics
