"""`bokgu report` of incidents of the real world: as a person runs it, on the real API server and the simulated AWS."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chromium import Browser
from tests.integration.test_history import RETENTION, until
from tests.unit.test_report_formats import Page, rendered
from tests.world.command import Answer, run_bokgu
from tests.world.manifests import NAMESPACE
from tests.world.scene import Scene
from tests.world.world import OPERATOR_SETTINGS, World

pytestmark = pytest.mark.timeout(180)


def report(world: World, *words: str, user: Path | None = None, **more: str) -> Answer:
    settings = {
        "AWS_ACCESS_KEY_ID": "reader",
        "AWS_SECRET_ACCESS_KEY": "simulated",
        "BOKGU_AWS_ENDPOINT_URL": world.aws_url,
        "BOKGU_MINUTE": OPERATOR_SETTINGS["BOKGU_MINUTE"],
        **more,
    }
    return run_bokgu(world, "report", "-n", NAMESPACE, *words, user=user, settings=settings)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One of its own: its operator is started with other settings."""
    with World(tmp_path_factory.mktemp("world")) as running:
        yield running


@pytest.fixture(scope="module")
def recovered(world: World) -> Scene:
    """A service that was recovered from a surge."""
    scene = Scene(world, "reported")
    scene.begin()
    scene.approve(scene.surge())
    scene.wait("resolved", lambda: scene.incident_is("Resolved"), 90)
    return scene


def name_of(scene: Scene) -> str:
    return str(scene.incident()["metadata"]["name"])


def test_html_and_markdown_tell_the_recovery(recovered: Scene) -> None:
    world, incident, plan = recovered.world, recovered.incident(), recovered.plan()
    alice = world.control_plane.kubeconfig_for_user(world.alice.name)
    html = report(world, name_of(recovered), user=alice)
    markdown = report(world, name_of(recovered), "-o", "md", user=alice)
    assert (html.returncode, markdown.returncode) == (0, 0), html.stderr + markdown.stderr
    known = incident["status"]["classification"]
    for text in (Page(html.stdout).words, rendered(markdown.stdout)):
        for words in (
            f"{NAMESPACE}/{name_of(recovered)}",
            "Resolved (Recovered)",
            f"The cause is {known['rootCause']}",
            "alice@example.com as system_admin",
            "bob@example.com as service_owner",
            plan["metadata"]["name"],
            "ecs UpdateService",
            "Accepted at",
            "trouble gone",
            "set the desired count to",
        ):
            assert words in text, words
        for item in known["evidence"]:
            assert " ".join(f"{item['source']}: {item['fact']}".split()) in text
        for entry in incident["status"]["timeline"]:
            assert " ".join(entry["message"].split()) in text


def test_the_curves_are_those_of_cloudwatch(recovered: Scene) -> None:
    told = report(recovered.world, name_of(recovered))
    assert told.returncode == 0, told.stderr
    page = Page(told.stdout).words
    assert "Not shown" not in page
    course = re.search(r"error_rate errors / requests.*?during ([\d.]+) to ([\d.]+); .*?threshold ([\d.]+)", page)
    assert course is not None, page
    assert float(course[2]) > float(course[3]) > float(course[1])
    assert "By its metrics it had begun at" in page
    assert 'class="step"' in told.stdout


def test_without_aws_it_says_so_in_their_place_and_goes_on(recovered: Scene) -> None:
    away = report(recovered.world, name_of(recovered), BOKGU_AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert away.returncode == 0, away.stderr
    assert "bokgu: metrics are missing in the report: " in away.stderr
    assert "Not shown: " in Page(away.stdout).words
    without = report(recovered.world, name_of(recovered), "--no-metrics", BOKGU_AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert (without.returncode, without.stderr) == (0, "")
    assert "Left out, as was asked." in without.stdout


def test_who_may_not_call_cloudwatch_gets_the_rest(recovered: Scene) -> None:
    recovered.world.simulator.deny("GetMetricData", count=1000)  # The operator asks too.
    try:
        told = report(recovered.world, name_of(recovered))
    finally:
        recovered.world.simulator.clear_faults()
    assert told.returncode == 0
    assert "AccessDenied" in told.stderr
    assert "Not shown: " in Page(told.stdout).words


def test_an_open_incident_is_told_with_whom_it_waits_for(new_scene: Callable[..., Scene]) -> None:
    scene = new_scene()
    plan = scene.surge()["metadata"]["name"]
    told = report(scene.world, name_of(scene), "-o", "md")
    assert told.returncode == 0, told.stderr
    text = rendered(told.stdout)
    assert "It is not over: it is AwaitingApproval (ApprovalsMissing), and waits for system_admin" in text
    assert f"bokgu approve {plan} -n {NAMESPACE} --role system_admin --apply" in text


def test_it_is_written_into_a_folder_and_again_over_itself_alone(recovered: Scene, tmp_path: Path) -> None:
    world, name = recovered.world, name_of(recovered)
    for _ in range(2):
        told = report(world, name, "--no-metrics", "--out", str(tmp_path))
        assert (told.returncode, told.stdout) == (0, ""), told.stderr
    path = tmp_path / f"{name}.html"
    assert told.stderr == f"wrote {path}\n"
    path.write_text("something else")
    refused = report(world, name, "--no-metrics", "--out", str(path))
    assert (refused.returncode, path.read_text()) == (1, "something else")
    assert "is no report of this incident" in refused.stderr


def test_one_that_was_never_there_is_told(world: World) -> None:
    answer = report(world, "api-9")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert f"there is no Incident api-9 in namespace {NAMESPACE}, and the history knows of none" in answer.stderr


def test_a_browser_shows_it(recovered: Scene, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(report(recovered.world, name_of(recovered)).stdout)
    seen = Browser().visit(path)
    assert (seen.console, seen.asked) == ((), ())
    assert "<svg" in seen.dom


def test_one_that_is_gone_is_told_from_the_history(recovered: Scene) -> None:
    """The last test of the module: the operator keeps nothing for long from here on."""
    world, name = recovered.world, name_of(recovered)
    alice = world.control_plane.kubeconfig_for_user(world.alice.name)
    world.stop_operator()
    world.start_operator({"BOKGU_RETENTION": f"{RETENTION}s"})
    until(world, "it is gone", lambda: world.get("incidents", name) is None, 60)
    for form in ("html", "md"):
        told = report(world, name, "-o", form, user=alice)
        assert told.returncode == 0, told.stderr
        text = Page(told.stdout).words if form == "html" else rendered(told.stdout)
        assert "The Incident is gone from the cluster: this is what the history keeps." in text
        assert "The cause is TrafficSurge" in text
        assert "Plan 1 (runbook traffic-surge) ended as Completed." in text
