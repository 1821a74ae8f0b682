"""The operator as a process: probes, metrics, signals."""

import time
import urllib.error
import urllib.request

from tests.world.world import ROOT, World, wait_for


def answer(world: World, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(world.metrics_url.replace("/metrics", path), timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_probes_answer(world: World) -> None:
    assert answer(world, "/healthz") == (200, "ok\n")
    assert answer(world, "/readyz") == (200, "ok\n")


def test_not_ready_while_the_status_fence_is_missing(world: World) -> None:
    world.control_plane.kubectl("delete", "validatingadmissionpolicybinding", "bokgu-status")
    try:
        status, text = answer(world, "/readyz")
        assert status == 503
        assert "bokgu-status" in text
    finally:
        world.control_plane.apply(ROOT / "deploy/admission-policies.yaml")
    assert answer(world, "/readyz")[0] == 200


def test_metrics_name_what_prometheus_expects(world: World) -> None:
    text = answer(world, "/metrics")[1]
    for family in ("bokgu_build_info", "bokgu_queue_depth", "bokgu_reconcile_duration_seconds"):
        assert family in text


def test_sigterm_ends_the_process_soon_and_it_comes_back(world: World) -> None:
    begun = time.monotonic()
    code = world.stop_operator()
    assert code == 0
    assert time.monotonic() - begun < 20
    world.start_operator()
    wait_for(lambda: answer(world, "/readyz")[0] == 200, 20, world.operator_log_tail)
