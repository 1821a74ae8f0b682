"""`python -m tests.upgrade record`: play this version's objects into every stable phase, and write them down for the
tests of later versions. Done once for each release, and committed."""

import argparse
import sys
import tempfile
from pathlib import Path

from bokgu import __version__
from tests.upgrade.recording import record
from tests.upgrade.releases import FOLDER, write_release
from tests.world.world import World


def main() -> int:
    """Record, and say which phases were met."""
    parser = argparse.ArgumentParser(prog="python -m tests.upgrade", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    recording = commands.add_parser("record", help="write the objects of this version")
    default = FOLDER / f"{__version__}.yaml"
    recording.add_argument("--out", type=Path, default=default, help=f"the file; default: {default.name}")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="bokgu-upgrade-") as folder,
        World(Path(folder), operator=False) as world,
    ):
        release = record(world, lambda text: print(text, file=sys.stderr, flush=True))
        write_release(options.out, release)
    for kind, phases in release.phases().items():
        print(f"{kind}: {', '.join(sorted(phases))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
