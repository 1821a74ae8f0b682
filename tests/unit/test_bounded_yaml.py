"""YAML and JSON that would fill a machine, or run something, are refused before they do."""

import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bokgu.commands import bounded_yaml
from bokgu.commands.bounded_yaml import MAX_CHARACTERS, load_documents
from bokgu.commands.manifests import BadManifest, read_manifests

LETTERS = "abcdefghij"


def laughs(first: str, pattern: str) -> str:
    """Each line refers nine times to the one before: ten of them are a billion."""
    lines = [f"a: &a {first}"]
    for before, after in pairwise(LETTERS):
        lines.append(f"{after}: &{after} {pattern.format(', '.join([f'*{before}'] * 9))}")
    return "\n".join(lines)


BOMBS = {
    "billion laughs": laughs("[x]", "[{}]"),
    "merged": laughs("{x: 1}", "{{<<: [{}]}}"),
    "itself": "a: &a [*a]",
    "deep": "[" * 10_000,
    "deep blocks": "\n".join(" " * n + "a:" for n in range(1000)),
    "large": "a: " + "x" * MAX_CHARACTERS,
    "many aliases": "a: &a x\nb: [" + "*a, " * 2000 + "]",
    "a call": "!!python/object/apply:os.system [id]",
    "an object": "!!python/object:bokgu.config.Settings {}",
    "nowhere": "*a",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_s12_a_bomb_is_refused_at_once(bomb: str, tmp_path: Path) -> None:
    begun = time.process_time()
    with pytest.raises((yaml.YAMLError, ValueError)):
        load_documents(BOMBS[bomb])
    assert time.process_time() - begun < 5
    file = tmp_path / "bomb.yaml"
    file.write_text(BOMBS[bomb])
    with pytest.raises(BadManifest, match=r"bomb\.yaml: "):
        read_manifests([str(file)], "shop")


@pytest.mark.parametrize("text", ["[" * 10_000, "{", '{"a":' * 5000 + "1" + "}" * 5000])
def test_s12_a_bomb_of_json_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "bomb.json"
    file.write_text(text)
    with pytest.raises(BadManifest, match=r"bomb\.json: "):
        read_manifests([str(file)], "shop")


def test_s12_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    with file.open("wb") as sparse:
        sparse.truncate(10**12)
    with pytest.raises(BadManifest, match="more than"):
        read_manifests([str(file)], "shop")


def test_aliases_as_people_use_them_are_read() -> None:
    text = "base: &base {cluster: shop, mode: Approve}\none: {<<: *base, service: a}\nall: [*base, *base]"
    (found,) = load_documents(text)
    assert found["one"] == {"cluster": "shop", "mode": "Approve", "service": "a"}
    assert found["all"] == [found["base"]] * 2


def test_bounds_are_those_that_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_yaml, "MAX_DEPTH", 4)
    assert load_documents("[[[x]]]") == [[[["x"]]]]
    with pytest.raises(yaml.YAMLError, match="more than 4 levels"):
        load_documents("[[[[x]]]]")


KEYS = st.text(max_size=80)
"""Twelve characters each where all are escaped: keys have 1,024 at most (YAML 1.1, section 7.3)."""
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(PLAIN, min_size=1, max_size=3))
def test_all_else_is_read_as_yaml_reads_it(documents: list[Any]) -> None:
    text = yaml.safe_dump_all(documents)
    assert load_documents(text) == list(yaml.safe_load_all(text))
    assert load_documents(json.dumps(documents[0])) == list(yaml.safe_load_all(json.dumps(documents[0])))
