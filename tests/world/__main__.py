"""`python -m tests.world`: play the demo, or keep a world to play with."""

import argparse
import shutil
import sys
import time
from pathlib import Path

from tests.controlplane import ProgramsError, StartError
from tests.controlplane.programs import cache_folder
from tests.world.demo import play
from tests.world.manifests import CLUSTER, NORMAL_LOAD, SERVICE, SURGE_LOAD
from tests.world.scene import QUIET, Scene
from tests.world.screen import NotReached
from tests.world.shell import write_environment
from tests.world.world import World

TRY = """
The world is up. In another shell:

  . {environment}

  kubectl get bokgu                         # what is protected and watched
  make world-surge                          # traffic doubles; an Incident appears in seconds
  bokgu watch                               # what is open, and what waits for whom
  kubectl describe recoveryplan             # what would be done, its risks, its digest
  make world-approve                        # alice and bob sign and commit their approvals
  make world-calm                           # traffic back to normal
  make world-bad-revision                   # deploy a revision that fails 60 % of its requests
  kubectl explain recoveryplan.spec.steps
  curl $METRICS_URL

Logs: {directory}
Stop it with: make down
"""


def main() -> int:
    """Run one command; the exit code is 0 only when it did all that it says."""
    parser = argparse.ArgumentParser(prog="python -m tests.world", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, text in (
        ("demo", _demo, "play three incidents to their ends in a temporary world"),
        ("up", _up, "start a world that stays, and say what to try"),
        ("down", _down, "stop that world and remove it"),
        ("surge", _surge, "double its traffic"),
        ("calm", _calm, "bring its traffic back to normal"),
        ("bad-revision", _bad_revision, "deploy a revision that fails 60 %% of its requests"),
        ("approve", _approve, "let alice and bob approve every plan that awaits approval"),
    ):
        commands.add_parser(name, help=text, description=text).set_defaults(run=run)
    pictures = "save pictures of the last screen and of a report there"
    commands.choices["demo"].add_argument("--pictures", type=Path, metavar="FOLDER", help=pictures)
    options = parser.parse_args()
    try:
        options.run(options)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except (NotReached, ProgramsError, StartError, FileNotFoundError, TimeoutError, RuntimeError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _folder() -> Path:
    return cache_folder() / "world"


def _world() -> World:
    """The world that is up. Raises RuntimeError where none is."""
    if not (_folder() / "world.json").exists():
        raise RuntimeError("no world is up: start one with `make up`")
    return World(_folder(), detached=True)


def _demo(options: argparse.Namespace) -> None:
    play(options.pictures)
    print("\nThe demo reached every state that it should.")


def _up(_: argparse.Namespace) -> None:
    world = World(_folder(), detached=True, tell=print)
    if not world.runs("simulator") and (_folder() / "controlplane").exists():
        print("an earlier world that ended is removed: its cluster remembers what the simulated AWS has forgotten")
        world.stop()
        shutil.rmtree(_folder())
        world = World(_folder(), detached=True, tell=print)
    try:
        world.start()
        if world.get("protectedservices", SERVICE) is None:
            print(f"ECS service {SERVICE}, protected and watched, and a few minutes of its quiet day")
            Scene(world, SERVICE).begin()
            time.sleep(QUIET)
    except BaseException:
        print(f"stopped; its logs are in {world.directory}, and `make up` begins anew", file=sys.stderr)
        world.stop()
        raise
    print(TRY.format(environment=write_environment(world), directory=world.directory))


def _down(_: argparse.Namespace) -> None:
    if (_folder() / "controlplane").exists():
        World(_folder(), detached=True).stop()
        shutil.rmtree(_folder())
    print("the world is down")


def _surge(_: argparse.Namespace) -> None:
    _world().simulator.set_load(CLUSTER, SERVICE, SURGE_LOAD)
    print(f"traffic on {SERVICE}: {SURGE_LOAD:g} requests a second")


def _calm(_: argparse.Namespace) -> None:
    _world().simulator.set_load(CLUSTER, SERVICE, NORMAL_LOAD)
    print(f"traffic on {SERVICE}: {NORMAL_LOAD:g} requests a second")


def _bad_revision(_: argparse.Namespace) -> None:
    _world().deploy(ERROR_RATIO=0.6)
    print(f"{SERVICE} runs a revision that fails 60 % of its requests")


def _approve(_: argparse.Namespace) -> None:
    world = _world()
    waiting = [p for p in world.all("recoveryplans") if p.get("status", {}).get("phase") == "AwaitingApproval"]
    for plan in waiting:
        world.commit("alice", world.alice.approve(plan, "system_admin"))
        world.commit("bob", world.bob.approve(plan, "service_owner"))
        print(f"alice and bob approved {plan['metadata']['name']}")
    if not waiting:
        print("no plan awaits approval")


if __name__ == "__main__":
    sys.exit(main())
