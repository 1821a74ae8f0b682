"""`python -m tests.image ARCHIVE`: build the image into an OCI archive, and say how large it is."""

import sys
from pathlib import Path

from tests.image.building import BuildError, build_image

MEGABYTE = 1_000_000

if __name__ == "__main__":
    try:
        image = build_image(Path(sys.argv[1]).absolute())
    except BuildError as error:
        sys.exit(str(error))
    sizes = f"{image.size / MEGABYTE:.0f} MB, {image.packed_size / MEGABYTE:.0f} MB packed"
    print(f"{sys.argv[1]}: {sizes}\n{image.digest}")
