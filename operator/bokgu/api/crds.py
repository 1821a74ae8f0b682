"""Writes the CustomResourceDefinitions from the pydantic models.

The API server wants a structural schema (no $ref, no null, no anyOf): KEP-1693. Rules in CEL come from the `rules`
of the models, bounds and descriptions from their fields.
"""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from bokgu.api.detector import Detector
from bokgu.api.fields import TIMESTAMP_PATTERN
from bokgu.api.incident import Incident
from bokgu.api.meta import GROUP, VERSION, Resource
from bokgu.api.plan_approval import PlanApproval
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan, RecoveryPlanSpec
from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.api.runbook import Runbook

KINDS: tuple[type[Resource], ...] = (
    RecoveryPolicy,
    Runbook,
    Incident,
    RecoveryPlan,
    PlanApproval,
    ProtectedService,
    Detector,
)
"""All kinds, in the order in which the operator lists them at its start. Policies and Runbooks come before incidents: a
plan is made once, and must not be made from the built-in Runbook while the one that replaces it is not read yet."""

_KEPT = (
    "type",
    "format",
    "pattern",
    "enum",
    *("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
)

MOMENT_RULE = {"rule": "self >= timestamp('2000-01-01T00:00:00Z')", "message": "write a moment as 2026-01-31T08:00:00Z"}
"""The API server admits a list where a string has a format (k8s.io/kube-openapi, pkg/validation/validate/type.go): a
rule cannot be asked about one, which refuses it."""


class Unbounded(ValueError):
    """A string, list or map without a bound: CEL rules over it would exceed their budget."""


def build_crd(kind: type[Resource]) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind. Raises Unbounded where a field has no bound."""
    root: dict[str, Any] = {
        "description": kind.__doc__,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _rule_moments(_model_schema(_field_model(kind, "spec"))),
            "status": _model_schema(_field_model(kind, "status"), defaults=False),
        },
    }
    if kind.rules:
        root["x-kubernetes-validations"] = list(kind.rules)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind_name,
                "listKind": f"{kind.kind_name}List",
                "plural": kind.plural,
                "singular": kind.kind_name.lower(),
                "shortNames": list(kind.short_names),
                "categories": ["bokgu"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": list(kind.printer_columns),
                    **_selectable(kind),
                    "schema": {"openAPIV3Schema": root},
                }
            ],
        },
    }


def _selectable(kind: type[Resource]) -> dict[str, Any]:
    fields = [{"jsonPath": f".{path}"} for path in kind.selectable_fields]
    return {"selectableFields": fields} if fields else {}


def write_crds(folder: Path) -> list[Path]:
    """Write one YAML file a kind into the folder and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for kind in KINDS:
        path = folder / f"{GROUP}_{kind.plural}.yaml"
        path.write_text(yaml.safe_dump(build_crd(kind), sort_keys=False, width=120, allow_unicode=True))
        paths.append(path)
    return paths


def _field_model(kind: type[Resource], name: str) -> type[BaseModel]:
    model = kind.model_fields[name].annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    return model


def _model_schema(model: type[BaseModel], *, defaults: bool = True) -> dict[str, Any]:
    document = model.model_json_schema(by_alias=True)
    models = {m.__name__: m for m in _nested_models(model)}
    keep_defaults = defaults and model is not RecoveryPlanSpec
    return _structural(document, document.get("$defs", {}), models, model.__name__, keep_defaults)


def _rule_moments(node: dict[str, Any]) -> dict[str, Any]:
    """The schema of what people write, with a rule on every moment in it."""
    if node.get("format") == "date-time":
        return node | {"x-kubernetes-validations": [MOMENT_RULE]}
    if "items" in node:
        return node | {"items": _rule_moments(node["items"])}
    if "properties" in node:
        return node | {"properties": {name: _rule_moments(child) for name, child in node["properties"].items()}}
    return node


def _nested_models(model: type[BaseModel]) -> set[type[BaseModel]]:
    found = {model}
    todo = [model]
    while todo:
        for field in todo.pop().model_fields.values():
            for child in _models_in(field.annotation) - found:
                found.add(child)
                todo.append(child)
    return found


def _models_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return set().union(*(_models_in(a) for a in getattr(annotation, "__args__", ())))


def _structural(
    node: dict[str, Any],
    definitions: dict[str, Any],
    models: dict[str, type[BaseModel]],
    path: str,
    defaults: bool,
) -> dict[str, Any]:
    """Turn one node of pydantic's JSON schema into a structural one."""
    description, default = node.get("description"), node.get("default")
    extensions = {k: v for k, v in node.items() if k.startswith("x-kubernetes-")}
    if options := node.get("anyOf"):  # Optional: kubectl leaves the field out instead of writing null.
        (node,) = (o for o in options if o.get("type") != "null")
    name = node["$ref"].rsplit("/", 1)[-1] if "$ref" in node else path
    if "$ref" in node:
        node = definitions[name]
    out: dict[str, Any] = {"description": description or node.get("description", "")}
    out |= {k: node[k] for k in _KEPT if k in node}
    if "exclusiveMinimum" in node or "exclusiveMaximum" in node:
        raise Unbounded(f"{path}: use inclusive bounds")
    match node["type"]:
        case "object" if isinstance(node.get("additionalProperties"), dict):
            if "maxProperties" not in node:
                raise Unbounded(f"{path}: a map needs maxProperties")
            out["additionalProperties"] = _structural(
                node["additionalProperties"], definitions, models, f"{path}[]", defaults
            )
        case "object":
            out["properties"] = {
                key: _structural(child, definitions, models, f"{path}.{key}", defaults)
                for key, child in node.get("properties", {}).items()
            }
            if required := node.get("required"):
                out["required"] = required
            rules = list(getattr(models.get(name), "rules", ()))
            if rules:
                out["x-kubernetes-validations"] = rules
            if isinstance(default, dict):
                # The fields inside carry their own defaults, which rules over a default do not see.
                default = {k: v for k, v in default.items() if v not in (None, [], "")} if rules else {}
        case "array":
            if "maxItems" not in node:
                raise Unbounded(f"{path}: a list needs maxItems")
            out["items"] = _structural(node["items"], definitions, models, f"{path}[]", defaults)
        case "string":
            if out.get("format") == "date-time":
                out["pattern"] = TIMESTAMP_PATTERN
            if not out.keys() & {"enum", "maxLength"} and out.get("format") != "date-time":
                raise Unbounded(f"{path}: a string needs maxLength or enum")
        case "integer":
            out.setdefault("format", "int64")
    if defaults and default not in (None, [], ""):
        out["default"] = default
    return out | extensions
