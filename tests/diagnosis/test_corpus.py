"""The diagnosis against labelled incidents. The table at the end of the run says where it errs."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bokgu.commands.case_file import parse_case
from bokgu.core.case import Case
from bokgu.core.diagnosis import RULES
from tests.diagnosis.corpus import LabelledCase, read_corpus

CORPUS = read_corpus()
LIVE = tuple(replace(case, live=True) for case in CORPUS)


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_no_action_is_proposed_that_would_harm(case: LabelledCase) -> None:
    """Where the label says `none`, anything else is harm; where it says an action, another one is."""
    assert not case.harms, (case.verdict, case.label)


def test_nearly_all_causes_are_right() -> None:
    wrong = [(c.name, c.verdict["rootCause"], c.label["rootCause"]) for c in CORPUS if not c.right]
    assert len(wrong) <= 0.05 * len(CORPUS), wrong


def test_what_is_fetched_of_a_live_service_does_no_harm_and_is_enough() -> None:
    """Files reach as far back as somebody wished; what is fetched does not."""
    harm = [(c.name, c.verdict["safeAutomaticAction"], c.label["safeAutomaticAction"]) for c in LIVE if c.harms]
    wrong = [(c.name, c.verdict["rootCause"], c.label["rootCause"]) for c in LIVE if not c.right]
    assert harm == []
    assert len(wrong) <= 0.05 * len(LIVE), wrong


def test_nearly_all_actions_are_those_of_the_label() -> None:
    missed = [
        (c.name, c.verdict["safeAutomaticAction"], c.label["safeAutomaticAction"])
        for c in CORPUS
        if c.verdict["safeAutomaticAction"] != c.label["safeAutomaticAction"]
    ]
    assert len(missed) <= 0.05 * len(CORPUS), missed


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_every_verdict_quotes_its_evidence(case: LabelledCase) -> None:
    facts = case.verdict["evidence"]
    assert facts
    assert all(item["source"] and len(item["fact"]) <= 300 for item in facts)


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_rules_name_only_the_causes_of_their_row(case: LabelledCase) -> None:
    evidence = Case(parse_case(case.raw))
    for rule in RULES:
        found = rule.check(evidence)
        assert found is None or found.root_cause in rule.concludes, rule.looks_at


def test_the_table_in_the_docs_is_the_one_that_is_used() -> None:
    text = (Path(__file__).parents[2] / "docs" / "diagnosis.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| \d+ \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    assert told == [(rule.looks_at, ", ".join(rule.concludes)) for rule in RULES]
