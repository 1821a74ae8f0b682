"""`make audit` says that all is well only where somebody was asked."""

import json
import re
import sys
from pathlib import Path

import pytest

from tests.audit import LOCK, Answer, list_pins, main, read_answer

AUDITED = {"name": "kopf", "version": "1.45.2", "vulns": []}
SKIPPED = {"name": "boto3", "skip_reason": "Dependency not found on PyPI and could not be audited: boto3 (1.44.5)"}
BAD = {"name": "boto3", "version": "1.44.5", "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["1.44.6"]}]}
FINE = {"name": "boto3", "version": "1.44.5", "vulns": []}


class Audit:
    """`make audit` with a lock of two packages and a pip-audit whose databases answer what a test says; those without
    an answer cannot be reached. As the real one, it ends with 1 where a database cannot be reached, and with 0 where
    packages were skipped."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.lock, self._program, self._capsys = folder / "requirements.lock", folder / "pip-audit", capsys
        pins = ("boto3==1.44.5 \\", "    --hash=sha256:00", "    # via bokgu", "kopf==1.45.2 ; python_version > '3'")
        self.lock.write_text("\n".join(pins))
        monkeypatch.setenv("PIP_AUDIT", str(self._program))

    def run(self, answers: dict[str, str], *options: str) -> tuple[int, str, str]:
        """Exit code, output and errors."""
        self._program.write_text(
            f"#!{sys.executable}\n"
            "import sys\n"
            f"answers = {answers!r}\n"
            "database = sys.argv[sys.argv.index('--vulnerability-service') + 1]\n"
            "if database not in answers:\n"
            "    sys.exit('ConnectionError: no such host')\n"
            "print(answers[database])\n"
        )
        self._program.chmod(0o755)
        code = main(["--lock", str(self.lock), *options])
        return (code, *self._capsys.readouterr())


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Audit:
    return Audit(tmp_path, monkeypatch, capsys)


def report(*packages: object) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_a_package_that_was_skipped_is_not_known() -> None:
    assert read_answer(report(AUDITED, SKIPPED)) == Answer(frozenset({"kopf"}))
    assert read_answer(report(AUDITED, BAD)).vulnerable == {"boto3 1.44.5: PYSEC-2026-1"}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"dependencies": [{"name": "kopf"}]}', '{"dependencies": 1}'])
def test_what_is_no_report_is_no_answer(text: str) -> None:
    with pytest.raises(ValueError, match="no report"):
        read_answer(text)


@pytest.mark.parametrize(
    ("answers", "code", "said"),
    [
        ({"pypi": report(AUDITED, FINE)}, 0, "2 packages, no known vulnerability"),
        ({"pypi": report(AUDITED, BAD)}, 1, "vulnerable: boto3 1.44.5: PYSEC-2026-1"),
        ({"pypi": report(AUDITED, SKIPPED), "osv": report(FINE)}, 0, "no known vulnerability"),
        ({"pypi": report(SKIPPED), "osv": report(BAD)}, 1, "nothing is known of them"),
        ({"pypi": report(AUDITED, SKIPPED)}, 2, "about 1 of 2 packages"),
        ({}, 2, "about 2 of 2 packages"),
    ],
)
def test_good_news_are_those_that_somebody_gave(audit: Audit, answers: dict[str, str], code: int, said: str) -> None:
    ended, out, _ = audit.run(answers)
    assert ended == code
    assert said in out


def test_what_is_not_known_may_be_accepted_and_what_is_vulnerable_may_not(audit: Audit) -> None:
    code, out, errors = audit.run({}, "--accept-unknown")
    assert code == 0
    assert "nothing is known of them" in out
    assert "no known vulnerability" not in out
    assert "pypi: ConnectionError: no such host" in errors
    assert audit.run({"pypi": report(BAD)}, "--accept-unknown")[0] == 1


def test_without_the_program_nothing_is_known(audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_AUDIT")
    monkeypatch.setenv("PATH", "")
    assert main(["--lock", str(audit.lock)]) == 2


def test_every_requirement_is_pinned_with_hashes() -> None:
    """pip refuses an installation with --require-hashes otherwise; an address would take from another place."""
    entries = re.split(r"(?m)^(?=[a-zA-Z0-9])", LOCK.read_text())[1:]
    assert len(entries) == len(list_pins(LOCK)) > 50
    for entry in entries:
        assert re.match(r"[a-z0-9][a-z0-9._-]*==[0-9][\w.!+]*( ; [^\\\n]+)? \\\n", entry), entry[:60]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), entry[:60]
    assert not re.search(r"(?m)^\s*(-|https?:|git\+|\.|/)", re.sub(r"(?m)^\s+--hash=.*$", "", LOCK.read_text()))


def test_nothing_is_installed_without_hashes() -> None:
    root = LOCK.parent
    makefile = (root / "Makefile").read_text()
    assert [line for line in makefile.splitlines() if "pip install" in line and "--require-hashes" not in line] == []
