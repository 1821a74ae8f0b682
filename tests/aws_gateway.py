"""The operator's AWS gateway on a simulator of its own: one service, and calls without an operator around them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bokgu.api.meta import Target
from bokgu.api.own_patterns import OwnPatterns
from bokgu.api.role_grants import RoleGrant
from bokgu.aws.client import AwsClient
from tests.simulator.harness import CLUSTER, SERVICE

T = TypeVar("T")
TARGET = Target(region="us-east-1", cluster=CLUSTER, service=SERVICE)
ROLE = "arn:aws:iam::123456789012:role/bokgu"
GRANT = RoleGrant((f"{ROLE}*",), "shop", "cluster-1/shop")
THREADS = 2


def call(
    url: str,
    make: Callable[[AwsClient], Awaitable[T]],
    own_patterns: OwnPatterns = OwnPatterns(),  # noqa: B008 - it is frozen
) -> T:
    """What the calls that `make` makes with a fresh gateway come to; it is closed again."""

    async def run() -> T:
        aws = AwsClient(url, THREADS, grant=GRANT, own_patterns=own_patterns)
        try:
            return await make(aws)
        finally:
            aws.close()

    return asyncio.run(run())
