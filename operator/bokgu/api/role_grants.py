"""Which IAM roles a namespace may assume, and how it names itself to them: a trust root.

The operator may assume the roles of many teams. A namespace that could name any of them would act through it in
another team's account: "The confused deputy problem" (IAM User Guide). So operator configuration says which roles a
namespace may name, and the trust policy of each role which cluster and namespace may, by `sts:ExternalId`.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from bokgu.api.fields import NAMESPACE

ROLE_NOT_ALLOWED = "RoleNotAllowed"
"""Reason, and code of the error, where a namespace names a role that configuration does not let it assume."""

SETTING = "BOKGU_ASSUMABLE_ROLES"
EVERY_NAMESPACE = "*"

_ROLES = r"arn:aws[a-z-]*:iam::[0-9]{12}:role/"
_ROLE = re.compile(_ROLES + r"(?:[!-)+-~]*/)?[A-Za-z0-9_+=,.@-]{1,64}")
"""A path of visible ASCII characters, then a name (API_Role of IAM); `*` is left to beginnings."""
_BEGINNING = re.compile(_ROLES + r"[!-)+-~]*\*")

AssumableRoles = Mapping[str, tuple[str, ...]]
"""ARNs of roles, or beginnings of them with `*` behind, by namespace; `*` stands for every namespace."""


@dataclass(frozen=True)
class RoleGrant:
    """Which roles calls may assume, and the external id that they show.

    `roles` are ARNs, or beginnings of ARNs with `*` behind. `namespace` is whose grant it is; None: the operator's own.
    """

    roles: tuple[str, ...] = ()
    namespace: str | None = None
    external_id: str | None = None

    def covers(self, arn: str) -> bool:
        """Whether the role may be assumed. What is not the ARN of a role may not."""
        if not _ROLE.fullmatch(arn):
            return False
        return any(arn.startswith(role[:-1]) if role.endswith("*") else arn == role for role in self.roles)

    def refuse(self, arn: str) -> str:
        """Why the role may not be assumed, and what an administrator must do."""
        if self.namespace is None:
            return f"the operator itself may not assume {arn}: it does so on behalf of a namespace only"
        return (
            f"namespace {self.namespace} may not assume {arn}: an administrator must add {self.namespace}={arn} to the"
            f" operator's {SETTING}, and the role's trust policy must name the external id {self.external_id}"
        )


def grant_roles(
    assumable: AssumableRoles, cluster_id: str, namespace: str, *, pinned: tuple[str, ...] = ()
) -> RoleGrant:
    """What a namespace may assume; `pinned` are roles that it may assume in any case.

    The external id has at most 100 of the 1224 characters that AssumeRole takes (API_AssumeRole of AWS STS).
    """
    roles = (*assumable.get(namespace, ()), *assumable.get(EVERY_NAMESPACE, ()), *pinned)
    return RoleGrant(roles, namespace, f"{cluster_id}/{namespace}")


def parse_role_arn(text: str) -> str:
    """Read the ARN of an IAM role. Raises ValueError."""
    if not _ROLE.fullmatch(text):
        raise ValueError(f"{text!r} is not the ARN of an IAM role, such as arn:aws:iam::111111111111:role/shop-bokgu")
    return text


def parse_assumable_roles(text: str) -> AssumableRoles:
    """Read `shop=arn:aws:iam::111111111111:role/shop-bokgu,bank=arn:aws:iam::222222222222:role/bank/*`.

    Raises ValueError.
    """
    found: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for part in (part.strip() for part in text.split(",")):
        namespace, _, arn = part.partition("=")
        if "=" not in part or namespace.startswith("arn:"):
            raise ValueError(f"{part!r} is not NAMESPACE=ARN, such as shop=arn:aws:iam::111111111111:role/shop-bokgu")
        if namespace != EVERY_NAMESPACE and not NAMESPACE.fullmatch(namespace):
            raise ValueError(f"{namespace!r} is not the name of a namespace, nor * for every namespace")
        if not _ROLE.fullmatch(arn) and not _BEGINNING.fullmatch(arn):
            raise ValueError(f"{arn!r} is not the ARN of an IAM role, nor the beginning of one with * behind role/")
        found[namespace] += (arn,)
    return dict(found)
