"""IAM roles of the world: which ones its namespaces may assume."""

from tests.world.manifests import NAMESPACE

FIRST_ACCOUNT = 500_000_000_000
"""Accounts of tests of their own are numbered from here on."""
FIRST_OF_SCENARIO = 200_000_000_000
"""Accounts of scenarios, by the scenario's number."""
COUNT = 300
USUAL = "123456789012"
"""The account where the operator is at home."""
SILENT = "333333333333"
"""An account that does not answer."""


def operator_role(account: str) -> str:
    """ARN of the role that the operator watches an account through."""
    return f"arn:aws:iam::{account}:role/bokgu"


def runs_role(account: str) -> str:
    """ARN of the role that starts tasks and executions of documents there."""
    return f"arn:aws:iam::{account}:role/bokgu-runs"


def _list_assumable() -> str:
    mine = [f"{NAMESPACE}={operator_role(f'{FIRST_ACCOUNT + n}')}" for n in range(COUNT)]
    scenarios = [f"*={operator_role(f'{FIRST_OF_SCENARIO + n}')}" for n in range(COUNT)]
    return ",".join([f"{NAMESPACE}={operator_role(SILENT)}", f"{NAMESPACE}={runs_role(USUAL)}", *mine, *scenarios])


ASSUMABLE_ROLES = _list_assumable()
"""The setting: tests' accounts by the namespace of the tests alone, scenarios' by all, each of which has its own."""
