"""Plays many scenarios at once: those that can share a world in one, the others one after the other in a second."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bokgu.api.quotas import DEFAULT_QUOTAS
from tests.scenarios.kube_admin import KubeAdmin
from tests.scenarios.observer import Observer
from tests.scenarios.play import Play, Report, Setting, Tell
from tests.scenarios.scenario_files import Entry
from tests.scenarios.writes import OperatorCall, find_owner
from tests.world.pager import Pager
from tests.world.world import SPEED, World

AT_ONCE = int(os.environ.get("SCENARIOS_AT_ONCE", "12"))
"""Scenarios played at the same time in one world."""

PATIENCE = float(os.environ.get("SCENARIO_PATIENCE", "2"))
"""How much longer than on an idle machine things may take when many play at once."""


SILENCE = 5.0
"""Simulated minutes of silence after which the pager outside calls people."""


class FastWorld(World):
    """A world whose operator may call AWS as often in a simulated minute as it may outside in a real one, and whose
    heartbeat a pager hears."""

    def __init__(self, directory: Path, pager: Pager, *, tell: Callable[[str], None]) -> None:
        super().__init__(directory, tell=tell)
        self.pager = pager

    def start_operator(
        self, settings: Mapping[str, str] | None = None, name: str = "operator", *, ready: bool = True
    ) -> None:
        """Start it with quotas at the pace of the world."""
        quotas = ",".join(f"{name}={quota.rate * SPEED:g}" for name, quota in DEFAULT_QUOTAS.items())
        pace = {"BOKGU_AWS_QUOTAS": quotas, "BOKGU_RESYNC": "60s", "BOKGU_HEARTBEAT_URL": self.pager.url}
        super().start_operator({**pace, **(settings or {})}, name, ready=ready)


@contextmanager
def open_setting(folder: Path, *, patience: float, tell: Callable[[str], None] = lambda _: None) -> Iterator[Setting]:
    """A running world, with somebody who looks at it."""
    with Pager(SILENCE * 60 / SPEED) as pager, FastWorld(folder, pager, tell=tell) as world:
        kube = KubeAdmin(world)
        try:
            with Observer(world, kube) as observer:
                yield Setting(world, kube, observer, pager, patience)
        finally:
            kube.close()


class Ensemble:
    """Plays `entries` from `with` on; its end waits for all of them."""

    def __init__(self, entries: Iterable[Entry], *, at_once: int = AT_ONCE, patience: float = PATIENCE) -> None:
        listed = list(entries)
        self._sharing = [e for e in listed if not e.scenario.alone]
        self._alone = [e for e in listed if e.scenario.alone]
        self._at_once, self._patience = at_once, patience
        self._reports: dict[str, Future[Report]] = {e.name: Future() for e in listed}
        self._threads: list[threading.Thread] = []
        self.unclaimed: list[OperatorCall] = []
        """Writes of the operator that no scenario has to answer for; complete when all have been played."""

    def __enter__(self) -> "Ensemble":
        for entries, at_once in ((self._sharing, self._at_once), (self._alone, 1)):
            if entries:
                thread = threading.Thread(target=self._play_in_one_world, args=(entries, at_once), daemon=True)
                thread.start()
                self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> None:
        """Wait until all have been played and their worlds are gone."""
        for thread in self._threads:
            thread.join()

    def report(self, name: str, timeout: float | None = None) -> Report:
        """How a scenario came out, once it is known. Raises what kept it from being played."""
        return self._reports[name].result(timeout)

    def _play_in_one_world(self, entries: list[Entry], at_once: int) -> None:
        try:
            with (
                tempfile.TemporaryDirectory(prefix="bokgu-scenarios-") as folder,
                open_setting(Path(folder), patience=self._patience) as setting,
            ):
                with ThreadPoolExecutor(at_once, thread_name_prefix="scenario") as pool:
                    # The long ones first, so that none is left over at the end.
                    for entry in sorted(entries, key=lambda e: -e.scenario.expect.within):
                        pool.submit(self._play, setting, entry)
                services = setting.observer.services()
                wrote = [c for c in setting.observer.writes() if c.wrote]
                self.unclaimed += [c for c in wrote if find_owner(c, services) is None]
        except BaseException as error:  # told by every scenario that waits for this world
            for entry in entries:
                if not self._reports[entry.name].done():
                    self._reports[entry.name].set_exception(error)

    def _play(self, setting: Setting, entry: Entry) -> None:
        try:
            # What cannot come right need not be waited for so long.
            patience = 1.0 if entry.scenario.waiting else setting.patience
            self._reports[entry.name].set_result(Play(replace(setting, patience=patience), entry).run())
        except BaseException as error:  # told by its test
            self._reports[entry.name].set_exception(error)


def play_one(entry: Entry, folder: Path, tell: Tell) -> Report:
    """Play one scenario in a world of its own."""
    with open_setting(folder, patience=1.0, tell=lambda text: tell("world", text)) as setting:
        return Play(setting, entry, tell).run()
