"""AWS Identity and Access Management: what the policies of a role would allow, as far as tests attach some."""

from collections.abc import Callable

from tests.iam import Need, allows

from .accounts import Accounts, Caller
from .aws_protocol import Json
from .common_errors import build_access_denied


class Iam:
    """Each method answers one operation for a caller: parameters in, members of the answer out, AwsError else.

    An identity to which nobody attached a policy may do everything, as everywhere in the simulator; one to which
    somebody did may do what that allows.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self.operations: dict[str, Callable[[Json, Caller, str], Json]] = {
            "SimulatePrincipalPolicy": self.simulate_principal_policy,
        }

    def simulate_principal_policy(self, request: Json, caller: Caller, _region: str) -> Json:
        """SimulatePrincipalPolicy, a page an action; AccessDenied where the policy does not let the caller ask."""
        source = request["PolicySourceArn"]
        policy = self._accounts.find_policy(source)
        if not _may(policy, "iam:SimulatePrincipalPolicy", source, {}):
            raise build_access_denied("iam", "iam:SimulatePrincipalPolicy", caller.arn, source)
        entries = request.get("ContextEntries", ())
        context = {entry["ContextKeyName"]: entry["ContextKeyValues"][0] for entry in entries}
        page = int(request.get("Marker", "0"))
        action, more = request["ActionNames"][page], page + 1 < len(request["ActionNames"])
        each = [
            {
                "EvalResourceName": resource,
                "EvalResourceDecision": "allowed" if _may(policy, action, resource, context) else "implicitDeny",
            }
            for resource in request.get("ResourceArns", ["*"])
        ]
        worst = next((one for one in each if one["EvalResourceDecision"] != "allowed"), each[0])
        result = {
            "EvalActionName": action,
            "EvalResourceName": worst["EvalResourceName"],
            "EvalDecision": worst["EvalResourceDecision"],
            "ResourceSpecificResults": each if len(each) > 1 else [],
        }
        return {"EvaluationResults": [result], "IsTruncated": more, **({"Marker": str(page + 1)} if more else {})}


def _may(policy: Json | None, action: str, resource: str, context: dict[str, str]) -> bool:
    return policy is None or allows(policy, Need(action, resource, context))
