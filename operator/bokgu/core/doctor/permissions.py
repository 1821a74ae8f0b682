"""Permissions in AWS: whether an identity may do all that is configured, writes too, before an incident needs it."""

import re
from collections.abc import Sequence

from bokgu.api.observed import AwsError, CallerIdentity, Verdict
from bokgu.core.doctor.aws import Place, advise
from bokgu.core.doctor.outcome import Outcome, fail, warn, well

PERMISSIONS = "permissions"

_SESSION = re.compile(r"arn:(aws[a-z-]*):sts::([0-9]{12}):assumed-role/([^/]+)/.+")


def name_identity(place: Place, caller: CallerIdentity) -> str:
    """The ARN by which IAM knows whoever calls: the role that is assumed there, else what STS tells. Of a session that
    is its role, without its path, which STS leaves out."""
    if place.role_arn is not None:
        return place.role_arn
    if found := _SESSION.fullmatch(caller.arn):
        return f"arn:{found[1]}:iam::{found[2]}:role/{found[3]}"
    return caller.arn


def check_permissions(place: Place, identity_arn: str, found: Sequence[Verdict] | AwsError) -> Outcome:
    """All is allowed. Where an ARN has a `*`, a policy may be narrower than the question, and yet enough."""
    name = place.role_arn or "own identity"
    hint = f"bokgu iam-policy -A --for {place.whose} prints what it must be allowed"
    if isinstance(found, AwsError):
        if advise(found, place) != hint:
            return warn(PERMISSIONS, name, f"not known: {found}", advise(found, place))
        ask = f"allow iam:SimulatePrincipalPolicy on {identity_arn} to have them checked, or compare: {hint}"
        return warn(PERMISSIONS, name, f"not known: {identity_arn} may not ask IAM about itself", ask)
    denied = [verdict for verdict in found if verdict.decision != "allowed"]
    surely = [verdict for verdict in denied if "*" not in verdict.resource or verdict.resource == "*"]
    if not denied:
        return well(PERMISSIONS, name, f"all {len({v.action for v in found})} actions are allowed to {identity_arn}")
    if surely:
        return fail(PERMISSIONS, name, f"{identity_arn} may not {_list(surely)}", hint)
    return warn(PERMISSIONS, name, f"{identity_arn} may not {_list(denied)}, if that is needed in full", hint)


def _list(denied: Sequence[Verdict]) -> str:
    first = denied[0]
    why = ", which a policy denies" if first.decision == "explicitDeny" else ""
    others = sorted({verdict.action for verdict in denied} - {first.action})
    more = f", nor {', '.join(others)}" if others else ""
    return f"{first.action} on {first.resource}{why}{more}"
