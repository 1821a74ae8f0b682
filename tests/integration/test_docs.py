"""What the documentation shows must work."""

import ast
import itertools
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from bokgu.__main__ import COMMANDS, build_parser
from bokgu.api.runbook import Runbook
from bokgu.api.vocabulary import IncidentType, RootCause
from bokgu.config import Settings
from bokgu.core.runbooks import choose_runbook, find_problem, merge_runbooks
from bokgu.core.ssh.allowed_signers import parse_allowed_signers
from bokgu.core.ssh.revocation import parse_revoked
from bokgu.runbooks import load_builtin_runbooks
from tests.world.people import Person
from tests.world.world import ROOT, World

REASON = re.compile(r"`(?:\w+=(?:True|False)`, `)?([A-Z][A-Za-z]+)`")
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def manifests(page: Path) -> list[dict[str, Any]]:
    """The objects of ours that a page shows whole."""
    shown = [block for block in blocks(page, "yaml") if "!GetAtt" not in block]  # CloudFormation has tags of its own.
    documents = [document for block in shown for document in yaml.safe_load_all(block)]
    return [d for d in documents if str(d.get("apiVersion", "")).startswith("bokgu.dev/")]


@pytest.mark.parametrize("page", [page for page in PAGES if manifests(page)], ids=lambda page: page.name)
def test_manifests_are_accepted(world: World, page: Path) -> None:
    text = yaml.safe_dump_all(manifests(page))
    world.control_plane.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", input=text)


RECIPES = [Runbook.model_validate(manifest) for manifest in manifests(ROOT / "docs/cookbook.md")]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: str(recipe.metadata.name))
def test_a_recipe_is_what_is_chosen_for_its_services_and_for_no_others(recipe: Runbook) -> None:
    everything, spec = merge_runbooks(load_builtin_runbooks(), RECIPES), recipe.spec
    assert find_problem(recipe, everything) is None
    assert spec.service_selector is not None
    trouble: dict[str, Any] = {
        "incident_type": (spec.incident_types or (IncidentType.HIGH_ERROR_RATE,))[0],
        "root_cause": (spec.root_causes or (RootCause.UNKNOWN,))[0],
        "new_revision_at_fault": spec.new_revision_at_fault,
        "traits": spec.traits,
    }
    labels, environment = spec.service_selector.match_labels or {}, spec.service_selector.environment or "production"
    chosen = choose_runbook(everything, **trouble, labels=labels, environment=environment)
    assert chosen == recipe
    for_others = choose_runbook(everything, **trouble, labels={}, environment="production")
    assert for_others is not None
    assert for_others not in RECIPES


def test_pages_show_manifests_of_all_configuration() -> None:
    kinds = {manifest["kind"] for page in PAGES for manifest in manifests(page)}
    assert kinds >= {"ProtectedService", "Runbook", "RecoveryPolicy", "PlanApproval"}


def commands() -> list[str]:
    lines = [line for page in PAGES for block in blocks(page, "console") for line in block.splitlines()]
    return [
        line.removeprefix("$ ").removeprefix("kubectl ") for line in lines if re.match(r"\$ (kubectl )?bokgu ", line)
    ]


@pytest.mark.parametrize("command", commands())
def test_the_command_has_the_options_that_are_shown(command: str) -> None:
    words = shlex.split(command, comments=True)[1:]
    build_parser().parse_args(list(itertools.takewhile(lambda word: word not in {"|", ">"}, words)))


def test_every_command_is_documented_with_its_exit_codes() -> None:
    text = (ROOT / "docs/command-line.md").read_text()
    codes = text.partition("## Exit codes")[2].partition("\n## ")[0]
    for name in (module.__name__.rpartition(".")[2].replace("_", "-") for module in COMMANDS):
        assert f"`{name}`" in codes, name
        assert re.search(rf"^\$ (kubectl )?bokgu {name}", text, flags=re.MULTILINE), name


def selections() -> list[str]:
    lines = [line for page in PAGES for block in blocks(page, "console") for line in block.splitlines()]
    return [line.removeprefix("$ kubectl ") for line in lines if "--field-selector" in line]


def test_fields_that_are_shown_can_be_selected(world: World) -> None:
    assert selections()
    for line in selections():
        world.control_plane.kubectl(*shlex.split(line))


def test_every_reason_of_an_approval_is_explained() -> None:
    code = (ROOT / "operator/bokgu/core/approval/judgement.py").read_text()
    words = {n.value for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    reasons = {word for word in words if re.fullmatch(r"[A-Z][A-Za-z]+", word)}
    assert "Accepted" in reasons
    text = (ROOT / "docs/approvals.md").read_text()
    assert [reason for reason in sorted(reasons) if f"| `{reason}` |" not in text] == []


def test_every_reason_that_is_looked_up_is_one_of_the_code() -> None:
    text = (ROOT / "docs/troubleshooting.md").read_text()
    looked_up = {
        word for cell in re.findall(r"^\| ([^|]+) \|", text, flags=re.MULTILINE) for word in REASON.findall(cell)
    }
    code = "\n".join(path.read_text() for path in (ROOT / "operator").rglob("*.py"))
    assert len(looked_up) > 15
    assert [word for word in sorted(looked_up) if f'"{word}"' not in code] == []


def test_the_trust_roots_that_are_shown_can_be_read(tmp_path: Path) -> None:
    person = Person.create("alice@example.com", tmp_path)
    signers, revoked = (b for b in blocks(ROOT / "docs/approvals.md", "text") if "AAAA" in b)
    whole = re.sub(r"\S+ AAAA\S+…", person.public_key, signers)
    assert [s.is_authority for s in parse_allowed_signers(whole)] == [False, False, True]
    whole = re.sub(r"\S+ AAAA\S+…", person.public_key, revoked).replace("SHA256:lk1ZXvoVZG6v…", f"SHA256:{'A' * 43}")
    found = parse_revoked(whole)
    assert (len(found.fingerprints), set(found.key_ids), list(found.serials)) == (2, {"alice's laptop"}, [range(7, 13)])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs/install.md").read_text()
    names = [s.metadata["env"] for s in Settings.__dataclass_fields__.values() if "env" in s.metadata]
    assert names
    assert [name for name in names if f"`{name}`" not in text] == []


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text())
    assert targets
    for target in set(targets):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE) or target.startswith("world-"), target
