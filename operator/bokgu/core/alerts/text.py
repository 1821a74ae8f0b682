"""Alerts in words: templates with named fields in braces, for each kind and language.

A template's first line is the title. A line of which every field is empty is left out. Values are never read as
templates, and what may quote a log is redacted and cut first.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bokgu.api.fields import bounded, format_timestamp
from bokgu.api.incident import Incident
from bokgu.api.outbox import Alert
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.redaction import redact, redact_quote
from bokgu.api.vocabulary import AlertKind, Language
from bokgu.core.alerts.notices import worst_severity

FIELDS = frozenset(
    {
        "approvals",
        "cause",
        "count",
        "description",
        "environment",
        "evidence",
        "expires",
        "if_nothing_is_done",
        "incident",
        "manifest",
        "message",
        "namespace",
        "occurrences",
        "phase",
        "plan",
        "service",
        "severity",
        "step",
        "steps",
        "trouble",
    }
)
"""What a template may name."""
LONGEST_TITLE = 200
LONGEST_TEMPLATE = 8192
QUOTED = 5
"""Facts of the evidence that an alert quotes."""

_PART = re.compile(r"\{([^{}]*)\}|[{}]")


class BrokenTemplate(ValueError):
    """A template cannot be used; the text says why."""


@dataclass(frozen=True)
class Texts:
    """Templates by `<language>.<kind>`, such as `ko.StepFailed`, and words by language. `own` are the users', which go
    first."""

    builtin: Mapping[str, str]
    words: Mapping[Language, Mapping[str, str]]
    own: Mapping[str, str]


@dataclass(frozen=True)
class Letter:
    """An alert as it is sent. `problem` says why the users' own template was not used."""

    title: str
    body: str
    problem: str | None = None


def check_template(template: str) -> None:
    """Raise BrokenTemplate for one that cannot be used."""
    if len(template) > LONGEST_TEMPLATE:
        raise BrokenTemplate(f"it is longer than {LONGEST_TEMPLATE} characters")
    if not template.strip():
        raise BrokenTemplate("it is empty")
    if unknown := [match[0] for match in _PART.finditer(template) if match[1] not in FIELDS]:
        raise BrokenTemplate(f"{unknown[0]} is no field: {', '.join(sorted(FIELDS))} are")


def write_letter(alert: Alert, language: Language, values: Mapping[str, str], texts: Texts) -> Letter:
    """The alert in that language. A template of the users that is broken gives way to the built-in one, and both the
    text and `problem` say so."""
    name = f"{language}.{alert.kind}"
    template, problem = texts.builtin[name], None
    if name in texts.own:
        try:
            check_template(texts.own[name])
            template = texts.own[name]
        except BrokenTemplate as error:
            problem = f"template {name} is broken, and the built-in one was used: {error}"
    title, *lines = _fill(template, {**values, **_say_count(alert, texts.words[language])}).splitlines() or [""]
    body = "\n".join([*lines, *(["", problem] if problem else [])]).strip("\n")
    return Letter(bounded(title.strip() or str(alert.kind), LONGEST_TITLE), body, problem)


def describe_alert(
    alert: Alert, incident: Incident, plan: RecoveryPlan | None, environment: str | None, words: Mapping[str, str]
) -> dict[str, str]:
    """Values of the fields for an alert about an incident; `plan` is the one that it names, if that is still there."""
    known = incident.status.classification
    facts = [f"- {item.source}: {redact_quote(item.fact)}" for item in (known.evidence if known else ())][:QUOTED]
    values = {
        "service": incident.spec.service_ref.name,
        "incident": incident.metadata.name,
        "trouble": words.get(incident.spec.type, incident.spec.type),
        "severity": _describe_severity(incident, words),
        "description": redact_quote(incident.spec.description),
        "cause": f"{known.root_cause} ({words[f'confidence.{known.confidence}']})" if known else "",
        "evidence": "\n".join(facts),
        "environment": environment or "",
        "phase": incident.status.phase,
        "occurrences": str(incident.status.occurrences) if incident.status.occurrences > 1 else "",
        **_describe(alert, incident.metadata.namespace, words, plan),
    }
    return values | (_describe_plan(plan, words) if plan else {})


def describe_namespace_alert(alert: Alert, namespace: str, words: Mapping[str, str]) -> dict[str, str]:
    """Values of the fields for an alert about a whole namespace."""
    return {**_describe(alert, namespace, words, None), "service": words["all_services"]}


def _describe_severity(incident: Incident, words: Mapping[str, str]) -> str:
    """The severity as `kubectl get incidents` shows it, and the impact where that is worse: routes go by the worse."""
    severity, worst = incident.spec.severity, worst_severity(incident, incident.status)
    said = words.get(severity, severity)
    return said if worst is severity else f"{said}, {words['impact']} {words.get(worst, worst)}"


def _describe(alert: Alert, namespace: str, words: Mapping[str, str], plan: RecoveryPlan | None) -> dict[str, str]:
    speakers = {a.approver for a in plan.status.approvals if a.verified_by} if plan else set()
    return {
        "namespace": namespace,
        "plan": alert.plan or "",
        "step": alert.step or "",
        "message": _redact_all_but(speakers, alert.message),
        "manifest": words["no_longer"] if alert.kind is AlertKind.APPROVAL_NEEDED else "",
    }


def _redact_all_but(names: Collection[str], text: str) -> str:
    """Redacted as a quote, but for these names: who approved or overrode is told, also where that is an address."""
    if not names:
        return redact_quote(text)
    parts = re.split(f"({'|'.join(map(re.escape, sorted(names, key=len, reverse=True)))})", text)
    return bounded("".join(part if part in names else redact(part) for part in parts))


def _describe_plan(plan: RecoveryPlan, words: Mapping[str, str]) -> dict[str, str]:
    spec, status = plan.spec, plan.status
    steps = (f"{number}. {step.name} ({step.action})" for number, step in enumerate(spec.steps, 1))
    return {
        "steps": "\n".join(steps),
        "approvals": ", ".join(status.required_approvals or spec.required_approvals),
        "expires": format_timestamp(spec.expires_at),
        "if_nothing_is_done": redact_quote(spec.if_nothing_is_done or ""),
        "manifest": status.approval_request or words["no_longer"],
    }


def _say_count(alert: Alert, words: Mapping[str, str]) -> dict[str, str]:
    return {"count": words["count"].replace("N", str(alert.count)) if alert.count > 1 else ""}


def _fill(template: str, values: Mapping[str, str]) -> str:
    lines = []
    for line in template.splitlines():
        fields = [match[1] for match in _PART.finditer(line)]
        if not fields or any(values.get(field) for field in fields):
            lines.append(_PART.sub(lambda match: values.get(match[1]) or "", line).rstrip())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))
