import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bokgu.core.ssh.patterns import parse_patterns
from tests.unit.ssh_keygen import Key, run


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return Key(tmp_path_factory.mktemp("ssh") / "key", "-t", "ed25519")


def does_openssh_match(key: Key, patterns: str, name: str) -> bool:
    path = key.path.with_name("allowed_signers")
    path.write_text(f'"{patterns}" {key.public}\n')
    return run("-Y", "match-principals", "-I", name, "-f", str(path)).returncode == 0


@pytest.mark.parametrize(
    ("patterns", "name", "matches"),
    [
        ("alice", "alice", True),
        ("alice", "Alice", False),
        ("alice", "alice@example.com", False),
        ("alice,bob", "bob", True),
        ("*", "anybody", True),
        ("*@example.com", "alice@example.com", True),
        ("*@example.com", "alice@example.com.evil", False),
        ("*@example.com", "aliceXexample.com", False),
        ("a*c*e", "abcde", True),
        ("a*c*e", "abced", False),
        ("*ab", "aab", True),
        ("*ab*ab", "ab", False),
        ("**a**", "a", True),
        ("?", "a", True),
        ("?", "", False),
        ("?", "é", False),
        ("??", "é", True),
        ("*,!??", "é", False),
        ("al?ce", "alice", True),
        ("*,!bob", "alice", True),
        ("*,!bob", "bob", False),
        ("!bob,*", "bob", False),
        ("!bob", "alice", False),
        ("!*", "alice", False),
        ("!!bob,*", "!bob", False),
        ("alice,!a*", "alice", False),
        ("[a-z]lice", "alice", False),
        ("a.ice", "alice", False),
        ("a\\?ice", "a\\xice", True),
        ("alice smith", "alice smith", True),
    ],
)
def test_s8_a_list_of_patterns_matches_as_in_openssh(key: Key, patterns: str, name: str, matches: bool) -> None:
    assert parse_patterns(patterns).matches(name) is matches
    if name:
        assert does_openssh_match(key, patterns, name) is matches


PLAIN = st.text("ab?*", min_size=1, max_size=5)
PATTERN = PLAIN | PLAIN.map("!{}".format)


@settings(max_examples=150)
@given(st.lists(PATTERN, min_size=1, max_size=3).map(",".join), st.text("abé", min_size=1, max_size=5))
def test_any_list_matches_as_in_openssh(key: Key, patterns: str, name: str) -> None:
    assert parse_patterns(patterns).matches(name) is does_openssh_match(key, patterns, name)


@given(st.text(), st.text())
def test_any_text_is_a_list_of_patterns_or_a_value_error(text: str, name: str) -> None:
    try:
        found = parse_patterns(text)
    except ValueError:
        return
    found.matches(name)
    assert str(found) == text


@pytest.mark.parametrize("text", ["", ",", "alice,", ",alice", "alice,,bob", "!", "alice,!", "a" * 1023])
def test_s6_an_empty_or_endless_pattern_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        parse_patterns(text)


def test_a_name_that_is_no_text_matches_only_wildcards() -> None:
    assert parse_patterns("*").matches("\ud800")
    assert not parse_patterns("alice,a*").matches("\ud800")


def test_s12_no_pattern_takes_long() -> None:
    begun = time.process_time()
    assert not parse_patterns("*a?" * 300 + "b").matches("a" * 1000)
    assert not parse_patterns("*a" * 500 + "?*b").matches("a" * 1000)
    assert time.process_time() - begun < 1
