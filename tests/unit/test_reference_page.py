"""docs/reference.md shows every field, and every field says what it is."""

import pytest

from bokgu.api.crds import KINDS
from bokgu.api.meta import Resource
from tests import reference_page


def test_the_page_is_written_from_the_models() -> None:
    assert reference_page.PAGE.read_text() == reference_page.write_page(), "run `make docs` and commit"


def test_no_field_is_without_a_word() -> None:
    rows = [line for line in reference_page.write_page().splitlines() if line.startswith("| `")]
    assert len(rows) > 400
    assert [row for row in rows if not row.rpartition(" | ")[2].strip(" |")] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_fields_of_lists_and_maps_are_there(kind: type[Resource]) -> None:
    page = reference_page.write_page()
    assert f"\n## {kind.__name__}\n" in page
    assert f"\n### {kind.__name__} status\n" in page
