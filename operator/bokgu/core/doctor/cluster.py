"""The cluster: who one is there, whether it has the CRDs and the admission policies of this version."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bokgu.api.crds import build_crd
from bokgu.api.meta import VERSION, Resource
from bokgu.core.approval.admission import find_gap
from bokgu.core.doctor.outcome import Outcome, Unread, fail, not_known, warn, well

CLUSTER, CRDS, ADMISSION = "cluster", "crds", "admission"

APPLY_CRDS = "kubectl apply --server-side -f crds/ (bokgu crds --out crds writes those of this version)"
APPLY_CHART = "upgrade the Helm release (docs/install.md#upgrade), or kubectl apply --server-side -f deploy/"

Raw = Mapping[str, Any]


@dataclass(frozen=True)
class FoundCrd:
    """A CRD as it is there. `body` is Unread where this account may not read it; then `served` and `selects` tell
    whether its kind is there with its selectable fields."""

    body: Raw | Unread | None
    served: bool
    selects: bool = True


def check_cluster(user: str | Unread) -> Outcome:
    """The API server answers, and knows who one is."""
    if isinstance(user, Unread):
        hint = "kubectl config current-context names the cluster; kubectl get --raw /readyz says whether it answers"
        return fail(CLUSTER, "API server", f"it does not answer: {user.why}", hint)
    return well(CLUSTER, "API server", f"reached as {user}")


def check_crd(kind: type[Resource], found: FoundCrd) -> Outcome:
    """The CRD of a kind is there, and is that of this version."""
    if not found.served:
        return fail(CRDS, kind.kind_name, "the cluster does not serve it", APPLY_CRDS)
    if isinstance(found.body, Unread):
        if not found.selects:
            return fail(CRDS, kind.kind_name, "it is of another version: selectable fields are missing", APPLY_CRDS)
        hint = "run bokgu doctor as somebody who may get customresourcedefinitions to compare it in full"
        return warn(CRDS, kind.kind_name, f"served; its version is not known: {found.body.why}", hint)
    if found.body is None:
        return fail(CRDS, kind.kind_name, "there is no such CustomResourceDefinition", APPLY_CRDS)
    if (where := find_difference(build_crd(kind), found.body)) is not None:
        return fail(CRDS, kind.kind_name, f"it is not that of this version: {where} differs", APPLY_CRDS)
    return well(CRDS, kind.kind_name, f"{VERSION}, as this version has it")


def find_difference(wanted: Raw, found: Raw) -> str | None:
    """The first place where a CRD says something else than it should; None where it says the same. What the API server
    fills in, and what others add beside our version, does not count."""
    mine, there = _version(wanted), _version(found)
    if there is None:
        return f"version {VERSION}"
    for part in ("schema", "additionalPrinterColumns", "selectableFields"):
        if (where := _differ(_said(mine.get(part)) if mine else None, _said(there.get(part)), part)) is not None:
            return where
    return None


def _version(crd: Raw) -> Raw | None:
    versions: list[Raw] = crd.get("spec", {}).get("versions", [])
    return next((version for version in versions if version["name"] == VERSION), None)


def _said(value: Any) -> Any:
    """Without what is left out when it is empty, as Kubernetes writes objects."""
    if isinstance(value, Mapping):
        kept = {key: _said(one) for key, one in value.items()}
        return {key: one for key, one in kept.items() if one not in ("", [], None, {})}
    return [_said(one) for one in value] if isinstance(value, list | tuple) else value


def _differ(wanted: Any, found: Any, path: str) -> str | None:
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for key in sorted(wanted.keys() | found.keys()):
            inner = path if key in {"openAPIV3Schema", "properties", "items"} else f"{path}.{key}"
            if key not in wanted or key not in found:
                return f"{path}.{key}"
            if (where := _differ(wanted[key], found[key], inner)) is not None:
                return where
        return None
    return None if wanted == found else path


def check_admission(policies: Mapping[str, tuple[Raw | None, Raw | None] | Unread]) -> Iterable[Outcome]:
    """The admission policies that approvals and status rest on, each with its binding, do what they are there for."""
    for name, found in policies.items():
        if isinstance(found, Unread):
            hint = "run bokgu doctor as somebody who may get validatingadmissionpolicies and their bindings"
            yield not_known(ADMISSION, name, found, hint)
        elif gap := find_gap(name, *found):
            yield fail(ADMISSION, name, gap, APPLY_CHART)
        else:
            yield well(ADMISSION, name, "it denies what it must")
