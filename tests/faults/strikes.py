"""What goes wrong in a play. Each strikes once, in one play."""

import json
import signal
import threading
import time

from kubernetes import client

from tests.faults.lenses import Late, Merged, Outdated, Thinned
from tests.faults.play import Play
from tests.faults.points import Finder, Point
from tests.faults.proxy import Call, Lens, Moment, Refusal, Trap
from tests.world.world import SPEED, wait_for

FIVE_MINUTES = 300.0
"""Simulated seconds."""


class Strike:
    """Something that goes wrong. `begin` is called when the calls begin to count, `watch` again and again until the
    play is over, and `end` in any case. `hit` says whether it went wrong."""

    hit = False

    def begin(self, play: Play) -> None:
        """Make it happen, or lie in wait."""

    def watch(self, play: Play) -> None:
        """See whether it is time."""

    def end(self, play: Play) -> None:
        """Leave nothing behind."""

    def __str__(self) -> str:
        return type(self).__name__


class AtPoint(Strike):
    """Catches the call of a point."""

    def __init__(self, point: Point) -> None:
        self.point = point
        self._trap: Trap | None = None

    def begin(self, play: Play) -> None:
        finder = Finder(play.concerns, self.point)
        self._trap = play.lane.kube_calls.set_trap(finder.fits, self.point.moment)
        play.lane.aws_calls.add_trap(self._trap)

    def watch(self, play: Play) -> None:
        if self._trap is not None and not self.hit and self._trap.wait(0.1):
            self.hit = True
            self.catch(play, self._trap)

    def end(self, play: Play) -> None:
        if self._trap is not None:
            self._trap.let_go()

    def catch(self, play: Play, trap: Trap) -> None:
        """The call is held: it is dropped, and the operator hears nothing more of it."""
        trap.drop()

    def __str__(self) -> str:
        return f"{type(self).__name__} {self.point}"


class Killed(AtPoint):
    """SIGKILL while the call is under way; then the operator starts again."""

    def catch(self, play: Play, trap: Trap) -> None:
        play.lane.kill()
        trap.drop()
        play.lane.start()


class Terminated(AtPoint):
    """SIGTERM while the call is under way, which ends well a moment later."""

    def catch(self, play: Play, trap: Trap) -> None:
        codes: list[int | None] = []
        stopping = threading.Thread(target=lambda: codes.append(play.lane.stop()))
        stopping.start()
        time.sleep(0.5)
        trap.let_go()
        stopping.join()
        self.hit = codes == [0]
        play.lane.start()


class CutOff(AtPoint):
    """The connection breaks: the call never arrives, or its answer does not. The operator lives on."""


class AfterFirstWrite(Strike):
    """Begins another strike when the first AWS write had its effect and its answer is not there yet."""

    def __init__(self, inner: Strike) -> None:
        self._inner = inner
        self._trap: Trap | None = None

    def begin(self, play: Play) -> None:
        def writes_to_aws(call: Call) -> bool:
            return call.writes and play.concerns(call)

        self._trap = play.lane.aws_calls.set_trap(writes_to_aws, Moment.AFTER)

    def watch(self, play: Play) -> None:
        if self._trap is not None and not self.hit and self._trap.wait(0.1):
            self.hit = True
            self._inner.begin(play)
            self._trap.let_go()
            self._inner.watch(play)
        elif self.hit:
            self._inner.watch(play)

    def end(self, play: Play) -> None:
        if self._trap is not None:
            self._trap.let_go()
        self._inner.end(play)

    def __str__(self) -> str:
        return f"{self._inner}, after the first AWS write"


class AwsFault(Strike):
    """All AWS calls about the service go wrong for five simulated minutes."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def begin(self, play: Play) -> None:
        self.hit = True
        play.world.simulator.add_fault("*", kind=self._kind, seconds=FIVE_MINUTES, resource=play.name)

    def __str__(self) -> str:
        return f"AWS answers {self._kind} for five minutes"


class Storm(Strike):
    """Every call to the API server is refused for five simulated minutes."""

    def __init__(self, status: int) -> None:
        self._status = status

    def begin(self, play: Play) -> None:
        self.hit = True
        over = time.monotonic() + FIVE_MINUTES / SPEED
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": self._status, "message": "storm"}
        refusal = Refusal(self._status, json.dumps(status).encode(), headers={"Retry-After": "1"})
        play.lane.kube_calls.refuse = lambda _: refusal if time.monotonic() < over else None

    def end(self, play: Play) -> None:
        play.lane.kube_calls.refuse = lambda _: None

    def __str__(self) -> str:
        return f"the API server answers {self._status} for five minutes"


class WritesRefused(Strike):
    """AWS writes get an error for five simulated minutes from the first one on; reads go well."""

    def __init__(self, code: str, status: int) -> None:
        self._code = code
        body = json.dumps({"__type": code, "message": "refused by the proxy"}).encode()
        self._refusal = Refusal(status, body, "application/x-amz-json-1.1")
        self._over: float | None = None

    def begin(self, play: Play) -> None:
        def refuse(call: Call) -> Refusal | None:
            if not (call.writes and play.concerns(call)):
                return None
            self.hit = True
            self._over = self._over or time.monotonic() + FIVE_MINUTES / SPEED
            return self._refusal if time.monotonic() < self._over else None

        play.lane.aws_calls.refuse = refuse

    def end(self, play: Play) -> None:
        play.lane.aws_calls.refuse = lambda _: None

    def __str__(self) -> str:
        return f"AWS writes get {self._code} for five minutes"


class Seen(Strike):
    """The operator sees the API server through a lens."""

    def __init__(self, lens: Lens) -> None:
        self._lens = lens

    def begin(self, play: Play) -> None:
        self.hit = True
        play.lane.kube_calls.lens = self._lens

    def end(self, play: Play) -> None:
        play.lane.kube_calls.lens = None

    def __str__(self) -> str:
        return f"the API server is seen {self._lens}"


class WatchesBreak(Strike):
    """All watches are reset every half second."""

    def begin(self, play: Play) -> None:
        self._last = 0.0

    def watch(self, play: Play) -> None:
        if time.monotonic() > self._last + 0.5:
            self._last = time.monotonic()
            self.hit = play.lane.kube_calls.close_watches() > 0 or self.hit

    def __str__(self) -> str:
        return "watches break all the time"


class Writers(Strike):
    """Somebody labels the plan, the incident and the ProtectedService all the time: every write of the operator may
    meet another one. Their status nobody else can write (S13)."""

    def begin(self, play: Play) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write, args=(play,))
        self._thread.start()

    def end(self, play: Play) -> None:
        if hasattr(self, "_over"):
            self._over.set()
            self._thread.join()

    def _write(self, play: Play) -> None:
        number = 0
        while not self._over.wait(0.03):
            number += 1
            try:
                names = {
                    "recoveryplans": play.plan()["metadata"]["name"],
                    "incidents": play.incident()["metadata"]["name"],
                    "protectedservices": play.name,
                }
                for plural, name in names.items():
                    play.lane.label(plural, name, f"n{number}")
                self.hit = True
            except (KeyError, client.ApiException):
                continue  # It is not there yet, or no more.

    def __str__(self) -> str:
        return "others write all the time"


class ApiServerDies(Strike):
    """SIGKILL to kube-apiserver; it is there again some seconds later."""

    def begin(self, play: Play) -> None:
        play.world.control_plane.apiserver.kill()

    def watch(self, play: Play) -> None:
        if not self.hit:
            play.world.control_plane.apiserver.start()
            self.hit = True

    def end(self, play: Play) -> None:
        play.world.control_plane.apiserver.start()


class EtcdStops(Strike):
    """etcd stands still for so many seconds, and nothing can be read or written meanwhile."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def begin(self, play: Play) -> None:
        self._signal(play, signal.SIGSTOP)

    def watch(self, play: Play) -> None:
        if not self.hit:
            time.sleep(self._seconds)
            self._signal(play, signal.SIGCONT)
            self.hit = True
            ready = ("get", "--raw", "/readyz")
            control_plane = play.world.control_plane
            wait_for(lambda: not control_plane.kubectl(*ready, check=False).returncode, 30, lambda: "not ready again")

    def end(self, play: Play) -> None:
        self._signal(play, signal.SIGCONT)

    @staticmethod
    def _signal(play: Play, number: signal.Signals) -> None:
        if process := play.world.control_plane.etcd.process:
            process.send_signal(number)

    def __str__(self) -> str:
        return f"etcd stops for {self._seconds:g} s"


class TwoOperators(Strike):
    """A second operator works beside the first, whose clock says something else."""

    def __init__(self, clock_ahead: float) -> None:
        self._ahead = clock_ahead

    def begin(self, play: Play) -> None:
        play.lane.start_second(self._ahead)
        self.hit = True

    def end(self, play: Play) -> None:
        play.lane.stop_second()

    def __str__(self) -> str:
        return f"a second operator, {self._ahead:+g} s ahead"


def list_strikes() -> list[Strike]:
    """Fresh ones of all that every case must come through."""
    return [
        *(AwsFault(kind) for kind in ("throttling", "server-error", "expired-token", "connection-reset")),
        *(AfterFirstWrite(AwsFault(kind)) for kind in ("throttling", "server-error", "expired-token")),
        WritesRefused("ThrottlingException", 400),
        WritesRefused("ExpiredTokenException", 400),
        WritesRefused("ServerException", 500),
        *(Storm(status) for status in (500, 503, 429)),
        *(AfterFirstWrite(Storm(status)) for status in (500, 503, 429)),
        Seen(Late(1)),
        Seen(Late(3)),
        Seen(Thinned(2)),
        Seen(Thinned(1)),
        Seen(Merged()),
        Seen(Outdated()),
        AfterFirstWrite(Seen(Outdated())),
        WatchesBreak(),
        Writers(),
    ]
