"""Pictures of a world, as the README shows them: made by commands, never by hand."""

import tempfile
from pathlib import Path

from tests.chromium import Browser
from tests.world.command import run_bokgu
from tests.world.manifests import NAMESPACE
from tests.world.world import OPERATOR_SETTINGS, World

SIZE = (1000, 1420)
"""Pixels of a picture of a report: its head, the story, the curves."""


def take_picture_of_report(world: World, incident: str, picture: Path) -> None:
    """Save the beginning of the incident's report as PNG. Raises RuntimeError where there is no report, PackageError
    where there is no Chromium."""
    settings = {
        "AWS_ACCESS_KEY_ID": "reader",
        "AWS_SECRET_ACCESS_KEY": "simulated",
        "BOKGU_AWS_ENDPOINT_URL": world.aws_url,
        "BOKGU_MINUTE": OPERATOR_SETTINGS["BOKGU_MINUTE"],
    }
    told = run_bokgu(world, "report", incident, "-n", NAMESPACE, settings=settings)
    if told.returncode != 0:
        raise RuntimeError(told.stderr)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        page.write_text(told.stdout)
        Browser().picture(page, picture, size=SIZE)
