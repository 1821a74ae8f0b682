"""Expectations held against what is there: each becomes a line that holds or not."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest

from tests.scenarios.expectation import ExpectedIncident, ExpectedPlan, ExpectedService
from tests.scenarios.model import Json
from tests.scenarios.observer import Sight
from tests.scenarios.placed_service import PlacedService
from tests.scenarios.scenario import Scenario
from tests.scenarios.simulated_time import format_length
from tests.scenarios.writes import OperatorCall, count_writes


@dataclass(frozen=True)
class Check:
    """One expectation: whether it holds, in words, and what there is instead. `lost`: it can never hold any more."""

    holds: bool
    text: str
    found: str = ""
    lost: bool = False


@dataclass(frozen=True)
class Scene:
    """What the checks look at. `truths`: services as they truly are, by name in the scenario, None where gone.

    `first_seen`: simulated seconds from the last cause to the first sight of each incident, by its name. `told` is how
    often people were told of what the scenario expects alerts about.
    """

    scenario: Scenario
    namespace: str
    services: dict[str, PlacedService]
    sight: Sight
    calls: list[OperatorCall]
    truths: dict[str, Json | None]
    first_seen: dict[str, float]
    told: Mapping[str, int] = field(default_factory=dict)
    patience: float = 1.0

    def incidents(self, service: str | None = None) -> list[Json]:
        """The incidents of the scenario, or of a service, oldest first."""
        found = self.sight.of("incidents", self.namespace)
        return [i for i in found if service is None or i["spec"]["serviceRef"]["name"] == service]

    def leading(self, service: str) -> Json | None:
        """The newest incident of a service that is not folded into another one."""
        return next((i for i in reversed(self.incidents(service)) if not is_folded(i)), None)

    def plan(self, incident: Json) -> Json | None:
        """The newest plan of an incident, whoever wrote it."""
        plans = self.sight.of("recoveryplans", self.namespace)
        mine = [p for p in plans if p["spec"]["incidentRef"]["uid"] == incident["metadata"]["uid"]]
        return mine[-1] if mine else None

    def named(self, role: str) -> list[str]:
        """The placed services that a name of the scenario stands for."""
        count = self.scenario.world.services[role].count
        return [role] if count == 1 else [f"{role}-{n}" for n in range(1, count + 1)]


def check_all(scene: Scene) -> list[Check]:
    """Every expectation of the scenario, one line each."""
    return [
        *check_incidents(scene),
        *(c for role, wanted in scene.scenario.expect.services.items() for c in check_services(scene, role, wanted)),
        *check_writes(scene),
    ]


# Incidents


def check_incidents(scene: Scene) -> Iterator[Check]:
    """Those that are expected, and that there is no other but what was folded into one of them from the start."""
    expected = scene.scenario.expect.incidents
    wanted = {(name, one.type) for one in expected for name in scene.named(one.service)}
    strange = [i for i in scene.incidents() if (i["spec"]["serviceRef"]["name"], i["spec"]["type"]) not in wanted]
    others = [i for i in strange if not is_folded(i)]
    text = "no other incident" if expected else "no incident"
    lost = any(i.get("status", {}).get("phase") not in {None, "Detected", "Classified"} for i in others)
    yield Check(not others, text, "; ".join(map(describe_incident, others)), lost=lost)
    series: dict[tuple[str, str], list[ExpectedIncident]] = defaultdict(list)
    for one in expected:
        for name in scene.named(one.service):
            series[name, one.type].append(one)
    for (name, type_), wanted_ones in series.items():
        found = [i for i in scene.incidents(name) if i["spec"]["type"] == type_]
        yield from _check_series(scene, name, wanted_ones, found)
    if scene.scenario.expect.one_leads:
        yield _check_leader(scene)
    for alert in scene.scenario.expect.alerts:
        told = scene.told.get(alert, 0)
        yield Check(told == 1, f"one alert: {alert}", f"{told} of them", lost=told > 1)


def _check_series(scene: Scene, name: str, wanted: list[ExpectedIncident], found: list[Json]) -> Iterator[Check]:
    """Incidents of one service and type, one after the other, as many as are wanted."""
    for one, incident in zip_longest(wanted, found):
        if one is None:
            yield Check(False, f"{name}: one incident less", describe_incident(incident), lost=True)
        elif incident is None:
            yield Check(False, f"{name}: {describe_expected(one)}", "there is none")
        else:
            problems = list(_differences(scene, incident, one))
            yield Check(not problems, f"{name}: {describe_expected(one)}", "; ".join(problems))


def _check_leader(scene: Scene) -> Check:
    names = scene.scenario.expect.one_leads
    incidents = [i for name in names for i in scene.incidents(name)]
    leaders = [i for i in incidents if i.get("status", {}).get("phase") != "Suppressed"]
    followed = {i["status"].get("leader", {}).get("name") for i in incidents if i not in leaders}
    good = len(leaders) == 1 and followed == {leaders[0]["metadata"]["name"]}
    return Check(
        good, f"one of {', '.join(names)} leads, and the others follow", "; ".join(map(describe_incident, incidents))
    )


def _differences(scene: Scene, incident: Json, wanted: ExpectedIncident) -> Iterator[str]:
    spec, status = incident["spec"], incident.get("status", {})
    classification = status.get("classification", {})
    yield from _compare(
        ("phase", wanted.phase, status.get("phase")),
        ("reason", wanted.reason, status.get("reason")),
        ("severity", wanted.severity, spec["severity"]),
        ("cause", wanted.cause, classification.get("rootCause")),
        ("source", wanted.source, spec.get("source", {}).get("kind")),
    )
    if wanted.occurrences is not None and not wanted.occurrences.holds(status.get("occurrences", 1)):
        yield f"occurrences {status.get('occurrences', 1)}"
    if wanted.flapping is not None and wanted.flapping is not _is_true(status, "Flapping"):
        yield f"Flapping is {_is_true(status, 'Flapping')}"
    if wanted.leader is not None:
        leader = status.get("leader", {}).get("name")
        leads = [i["metadata"]["name"] for i in scene.incidents(wanted.leader)]
        if leader not in leads:
            yield f"leader {leader}"
    yield from _missing_words(wanted.says, incident)
    if wanted.seen_within is not None:
        took = scene.first_seen.get(incident["metadata"]["name"], float("inf"))
        if took > wanted.seen_within * scene.patience:
            yield f"seen after {format_length(took)}"
    if wanted.plan is not None:
        yield from _plan_differences(scene.plan(incident), wanted.plan)


def _plan_differences(plan: Json | None, wanted: ExpectedPlan | str) -> Iterator[str]:
    if isinstance(wanted, str):
        if plan is not None:
            yield f"plan {plan['metadata']['name']}"
        return
    if plan is None:
        yield "no plan"
        return
    status = plan.get("status", {})
    yield from _compare(
        ("plan phase", wanted.phase, status.get("phase")), ("plan reason", wanted.reason, status.get("reason"))
    )
    actions = tuple(step["action"] for step in plan["spec"]["steps"])
    if wanted.actions is not None and actions != wanted.actions:
        yield f"plan steps {', '.join(actions)}"
    yield from _missing_words(wanted.says, plan)


def _compare(*rows: tuple[str, str | None, object]) -> Iterator[str]:
    for name, wanted, found in rows:
        if wanted is not None and wanted != found:
            yield f"{name} {found}"


def _missing_words(words: Iterable[str], body: Json) -> Iterator[str]:
    shown = {name: body.get(name) for name in ("spec", "status")}
    text = json.dumps(shown, ensure_ascii=False).lower()
    for word in words:
        if word.lower() not in text:
            yield f"does not say {word!r}"


def _is_true(status: Json, condition: str) -> bool:
    return any(c["type"] == condition and c["status"] == "True" for c in status.get("conditions", ()))


def is_folded(incident: Json) -> bool:
    """Whether the incident never stood for itself: folded into another one before anybody was called for it."""
    status = incident.get("status", {})
    events = {entry["event"] for entry in status.get("timeline", ())}
    return "Suppressed" in events and "Escalated" not in events and not status.get("plans")


def describe_incident(incident: Json) -> str:
    """An incident as it is, in a line."""
    spec, status = incident["spec"], incident.get("status", {})
    cause = status.get("classification", {}).get("rootCause", "not classified")
    reason = f" ({status['reason']})" if status.get("reason") else ""
    phase = status.get("phase", "new")
    return f"{spec['serviceRef']['name']} {spec['type']} {spec['severity']} {phase}{reason}, {cause}"


def describe_expected(wanted: ExpectedIncident) -> str:
    """What is wanted of an incident, in a line."""
    parts = [wanted.type, wanted.severity, wanted.phase, wanted.reason and f"({wanted.reason})", wanted.cause]
    if wanted.seen_within is not None:
        parts.append(f"seen within {format_length(wanted.seen_within)}")
    if wanted.leader is not None:
        parts.append(f"folded into that of {wanted.leader}")
    if wanted.occurrences is not None:
        parts.append(f"{wanted.occurrences} occurrences")
    if wanted.flapping:
        parts.append("flapping")
    if wanted.says:
        parts.append(f"says {', '.join(map(repr, wanted.says))}")
    if wanted.plan == "none":
        parts.append("no plan")
    elif isinstance(wanted.plan, ExpectedPlan):
        plan = wanted.plan
        parts.append(f"plan {' '.join(filter(None, (plan.phase, plan.reason, *(plan.actions or ()), *plan.says)))}")
    return " ".join(filter(None, parts))


# Services


def check_services(scene: Scene, role: str, wanted: ExpectedService) -> Iterator[Check]:
    """The truth about a service, and what its objects in Kubernetes say."""
    for name in scene.named(role):
        problems = [*_truth_differences(scene, name, wanted), *_object_differences(scene, name, wanted)]
        members = wanted.model_dump(exclude_none=True, exclude_defaults=True)
        shown = (f"{key} {_show(getattr(wanted, key))}" for key in members)
        yield Check(not problems, f"{name}: {', '.join(shown)}", "; ".join(problems))


def _show(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{k}={v}" for k, v in value.items())
    return ", ".join(map(repr, value)) if isinstance(value, tuple) else str(value)


def _truth_differences(scene: Scene, name: str, wanted: ExpectedService) -> Iterator[str]:
    asks = (wanted.runs, wanted.running, wanted.desired, wanted.status, wanted.security_groups)
    if all(one is None for one in asks):
        return
    truth = scene.truths.get(name)
    if truth is None:
        yield "there is no such service"
        return
    service, placed = truth["service"], scene.services[name]
    yield from _compare(("status", wanted.status, service["status"]))
    if wanted.running is not None and not wanted.running.holds(service["runningCount"]):
        yield f"{service['runningCount']} running"
    if wanted.desired is not None and not wanted.desired.holds(service["desiredCount"]):
        yield f"{service['desiredCount']} desired"
    network = service.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
    if wanted.security_groups is not None and tuple(network.get("securityGroups", ())) != wanted.security_groups:
        yield f"security groups {', '.join(network.get('securityGroups', ())) or 'none'}"
    if wanted.runs is not None:
        running = [t["taskDefinitionArn"] for t in truth["tasks"] if t["lastStatus"] == "RUNNING"]
        names = {arn: revision for revision, arn in placed.revisions.items()}
        known = sorted({names.get(arn, arn.rsplit("/", 1)[-1]) for arn in running})
        if known != [wanted.runs] and not _is_copy(placed, running, wanted.runs):
            yield f"runs {', '.join(known) or 'nothing'}"


def _is_copy(placed: PlacedService, running: list[str], revision: str) -> bool:
    """Whether all tasks run a re-registered copy: a task definition of the family that nobody in the story made."""
    return revision == "copy" and bool(running) and not set(running) & set(placed.revisions.values())


def _object_differences(scene: Scene, name: str, wanted: ExpectedService) -> Iterator[str]:
    if not (wanted.detections or wanted.detecting or wanted.ready or wanted.says):
        return
    found = [p for p in scene.sight.of("protectedservices", scene.namespace) if p["metadata"]["name"] == name]
    status = found[0].get("status", {}) if found else {}
    conditions = {c["type"]: c for c in status.get("conditions", ())}
    for type_, reason in (("Detecting", wanted.detecting), ("Ready", wanted.ready)):
        said = conditions.get(type_, {}).get("reason")
        if reason is not None and said != reason:
            yield f"{type_} says {said}"
    states = {d["condition"]: d["state"] for d in status.get("detections", ())}
    for detector in scene.sight.of("detectors", scene.namespace):
        if detector["spec"]["serviceRef"]["name"] == name:
            states |= {d["condition"]: d["state"] for d in detector.get("status", {}).get("detections", ())}
    for condition, state in wanted.detections.items():
        if states.get(condition) != state:
            yield f"{condition} is {states.get(condition)}"
    yield from _missing_words(wanted.says, {"status": status})


# Writes


def check_writes(scene: Scene) -> Iterator[Check]:
    """The operator's calls with an effect, exactly: what is not expected must not have happened."""
    found = count_writes(scene.calls, scene.services.values())
    expected = scene.scenario.expect.writes
    for role in scene.scenario.world.services:
        names = scene.named(role)
        bounds = expected.get(role, {})
        counts: dict[str, int] = {}
        for (name, operation), number in found.items():
            if name in names:
                counts[operation] = counts.get(operation, 0) + number
        stray = {o: n for o, n in counts.items() if o not in bounds}
        wrong = {o: counts.get(o, 0) for o, bound in bounds.items() if not bound.holds(counts.get(o, 0))}
        lost = bool(stray) or any(bound.exceeded_by(counts.get(o, 0)) for o, bound in bounds.items())
        wanted = ", ".join(f"{o}×{bound}" for o, bound in bounds.items()) or "none"
        seen = ", ".join(f"{o}×{n}" for o, n in sorted({**stray, **wrong}.items()))
        yield Check(not stray and not wrong, f"{role}: AWS writes: {wanted}", seen, lost=lost)
