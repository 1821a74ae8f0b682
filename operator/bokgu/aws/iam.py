"""AWS Identity and Access Management: what an identity may do."""

from collections.abc import Iterable

from bokgu.api.observed import Verdict
from bokgu.aws.client import AwsClient


async def simulate(
    aws: AwsClient,
    identity_arn: str,
    actions: Iterable[str],
    resources: Iterable[str],
    context: Iterable[tuple[str, str]],
    *,
    region: str,
    role_arn: str | None,
) -> tuple[Verdict, ...]:
    """What IAM would answer the user or role of that ARN, for each action on each resource (SimulatePrincipalPolicy).

    It heeds permissions boundaries and service control policies, not policies of resources. Raises AwsError.
    """
    request = {
        "PolicySourceArn": identity_arn,
        "ActionNames": list(actions),
        "ResourceArns": list(resources),
        "ContextEntries": [
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"} for key, value in context
        ],
    }
    found: list[Verdict] = []
    marker: dict[str, str] = {}
    while True:
        page = await aws.read("iam", "SimulatePrincipalPolicy", {**request, **marker}, region=region, role_arn=role_arn)
        for result in page["EvaluationResults"]:
            action = result["EvalActionName"]
            # With several resources the result as a whole says the worst of them.
            each = result.get("ResourceSpecificResults") or [
                {"EvalResourceName": result["EvalResourceName"], "EvalResourceDecision": result["EvalDecision"]}
            ]
            found += [Verdict(action, one["EvalResourceName"], one["EvalResourceDecision"]) for one in each]
        if not page.get("IsTruncated"):
            return tuple(found)
        marker = {"Marker": page["Marker"]}
