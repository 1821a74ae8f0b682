"""Who else sets a service."""

from typing import Any

import pytest

from bokgu.core.owners import OwnerKind, find_owner, find_stack
from tests.unit.facts import service

STACK = "arn:aws:cloudformation:us-east-1:123456789012:stack/shop/1a2b"


@pytest.mark.parametrize(
    ("fields", "kind", "name"),
    [
        (
            {"tags": {"aws:cloudformation:stack-name": "shop", "aws:cloudformation:stack-id": STACK}},
            OwnerKind.CLOUDFORMATION,
            "CloudFormation stack shop",
        ),
        ({"tags": {"aws:cloudformation:stack-id": STACK}}, OwnerKind.CLOUDFORMATION, f"CloudFormation stack {STACK}"),
        ({"tags": {"aws:cloudformation:stack-name": "shop"}}, OwnerKind.CLOUDFORMATION, "CloudFormation stack shop"),
        ({"tags": {"services.k8s.aws/controller-version": "ecs-1.0.3"}}, OwnerKind.ACK, "the ACK controller"),
        (
            {"tags": {"services.k8s.aws/namespace": "shop"}},
            OwnerKind.ACK,
            "the ACK controller of namespace shop",
        ),
        ({"controller": "CODE_DEPLOY"}, OwnerKind.CODE_DEPLOY, "CodeDeploy"),
        ({"controller": "EXTERNAL"}, OwnerKind.EXTERNAL, "the external deployment controller"),
        ({"resource_management_type": "ECS"}, OwnerKind.EXPRESS, "ECS Express Mode"),
    ],
)
def test_an_owner_is_told_from_tags_and_fields(fields: dict[str, Any], kind: OwnerKind, name: str) -> None:
    owner = find_owner(service(**fields))
    assert owner
    assert (owner.kind, owner.name) == (kind, name)
    assert owner.reverts


@pytest.mark.parametrize(
    "tags", [{}, {"terraform": "true"}, {"managed-by": "terraform"}, {"aws:ecs:serviceName": "web"}]
)
def test_terraform_leaves_no_mark(tags: dict[str, str]) -> None:
    """Tags that a team puts on by itself prove nothing."""
    assert find_owner(service(tags=tags)) is None


def test_the_stack_is_asked_for_by_its_id_where_there_is_one() -> None:
    """A stack that was deleted and made again has the same name and another id (API_DescribeStacks)."""
    tags = {"aws:cloudformation:stack-name": "shop", "aws:cloudformation:stack-id": STACK}
    assert find_stack(service(tags=tags)) == STACK
    assert find_stack(service(tags={"aws:cloudformation:stack-name": "shop"})) == "shop"
    assert find_stack(service()) is None
