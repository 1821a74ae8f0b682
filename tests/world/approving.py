"""People who approve as the documentation says: with `bokgu approve`, and a signed commit."""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.world.command import Answer, run_bokgu
from tests.world.manifests import NAMESPACE
from tests.world.people import Person
from tests.world.world import Raw, World


def run_approve(
    world: World,
    person: Person,
    plan: Raw,
    *options: str | Path,
    user: Path | None = None,
    stdin: str = "",
) -> Answer:
    """`bokgu approve` as the person runs it: with their own kubeconfig (or another one) and their own Git settings."""
    words = ("approve", plan["metadata"]["name"], "-n", NAMESPACE, *options)
    return run_bokgu(world, *words, user=user, person=person, stdin=stdin, folder=world.repository.work)


@dataclass(frozen=True)
class Approved:
    """What a person was shown before their approval was signed, and what Git says of its commit."""

    shown: str
    commit: str


def approve_through_git(world: World, plan: Raw, people: Mapping[Person, str | None], *options: str) -> list[Approved]:
    """Let people sign approvals as roles (None: the one that is missing), at the same time; commit each with the
    person's own signature, and apply what is in Git then.

    Raises RuntimeError where a command does not succeed.
    """
    repository = world.repository

    def approve(person: Person) -> Answer:
        role = people[person]
        asked = ("--role", role) if role else ()
        out = repository.work / "approvals"
        return run_approve(world, person, plan, *asked, "--sign", person.key, "--out", out, "--yes", *options)

    with repository.locked():
        with ThreadPoolExecutor() as threads:
            answers = list(threads.map(approve, people))
        found = []
        for person, answer in zip(people, answers, strict=True):
            written = re.search(r"^wrote (.*)$", answer.stderr, flags=re.MULTILINE)
            if answer.returncode != 0 or written is None:
                raise RuntimeError(answer.stderr)
            verdict = repository.commit_signed(person, f"Speak to {plan['metadata']['name']}", Path(written[1]))
            found.append(Approved(answer.stdout, verdict))
        repository.publish()
    world.apply_checkout()
    return found
