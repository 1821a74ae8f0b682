"""AWS calls: one shared Session, a bounded thread pool, explicit timeouts, errors that say whether a call may have had
an effect.

A Session costs about 117 ms and 11 MB, a client on it 2 ms, so there is one Session and clients are kept.
"""

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any

import boto3
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
)

from bokgu.api.observed import AwsError
from bokgu.metrics import AWS_REQUESTS, AWS_SECONDS

CONNECT_TIMEOUT = 3
READ_TIMEOUT = 10
PASSING = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "Unreachable",
        "TooLate",
    }
)
"""Codes of calls that were not carried out and may be made again later."""

_NEVER_SENT = (ConnectTimeoutError, EndpointConnectionError, NoCredentialsError, ParamValidationError)


@dataclass(frozen=True)
class _Call:
    """One call. `session_name` and `deadline` (monotonic) are set for writes."""

    service: str
    operation: str
    arguments: Mapping[str, Any]
    region: str
    role_arn: str | None
    session_name: str | None = None
    deadline: float | None = None


class AwsClient:
    """Makes AWS calls for all accounts and regions."""

    def __init__(self, endpoint_url: str | None, threads: int) -> None:
        """`endpoint_url` replaces the address of every AWS API; `threads` bounds the calls under way."""
        self._endpoint_url = endpoint_url
        self._session = boto3.Session()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="aws")
        self._lock = Lock()
        self._clients: dict[tuple[str, str, str | None], Any] = {}

    def close(self) -> None:
        """Wait for calls under way and release the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def read(
        self, service: str, operation: str, arguments: Mapping[str, Any], *, region: str, role_arn: str | None
    ) -> dict[str, Any]:
        """Make a call that changes nothing. The SDK repeats it on throttling and passing faults. Raises AwsError."""
        return await self._run(_Call(service, operation, arguments, region, role_arn))

    async def write(
        self,
        service: str,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        region: str,
        role_arn: str | None,
        session_name: str,
        deadline: float,
    ) -> dict[str, Any]:
        """Make a call that changes something, once: the SDK never repeats it. Raises AwsError.

        The call begins before `deadline` (monotonic time), after waiting for a thread and for credentials, or not at
        all (code TooLate).

        `session_name` names the assumed role's session and stands in the user agent, so that CloudTrail tells which
        step made the call.
        """
        return await self._run(_Call(service, operation, arguments, region, role_arn, session_name, deadline))

    async def _run(self, call: _Call) -> dict[str, Any]:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._make, call)

    def _make(self, call: _Call) -> dict[str, Any]:
        begun, code = time.monotonic(), "OK"
        try:
            client = self._client(call.service, call.region, call.role_arn, call.session_name)
            if call.deadline is not None and time.monotonic() > call.deadline:
                code = "TooLate"
                raise AwsError(call.operation, code, "no thread or no credentials in time", sent=False)
            answer: dict[str, Any] = client._make_api_call(call.operation, dict(call.arguments))  # noqa: SLF001 - by API name
        except ClientError as error:
            code = error.response["Error"]["Code"]
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
            message = error.response["Error"].get("Message", "")
            raise AwsError(call.operation, code, message, sent=status >= 500) from error
        except _NEVER_SENT as error:
            code = "Unreachable" if not isinstance(error, ParamValidationError) else "InvalidRequest"
            raise AwsError(call.operation, code, str(error), sent=False) from error
        except BotoCoreError as error:
            code = "NoAnswer"
            raise AwsError(call.operation, code, str(error), sent=True) from error
        finally:
            AWS_REQUESTS.labels(call.service, call.operation, code).inc()
            AWS_SECONDS.labels(call.service, call.operation).observe(time.monotonic() - begun)
        return answer

    def _client(self, service: str, region: str, role_arn: str | None, session_name: str | None) -> Any:
        """A kept client for reads; for a write a client of its own, whose session carries the name."""
        with self._lock:  # Creating clients on a shared Session is not thread-safe (boto3 documentation).
            if session_name:
                return self._new_client(service, region, role_arn, session_name, retries=0)
            key = (service, region, role_arn)
            if key not in self._clients:
                self._clients[key] = self._new_client(service, region, role_arn, "bokgu-read", retries=2)
            return self._clients[key]

    def _new_client(self, service: str, region: str, role_arn: str | None, session_name: str, *, retries: int) -> Any:
        config = Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            retries={"mode": "standard", "total_max_attempts": retries + 1},
            user_agent_extra=f"bokgu/{session_name}",
            max_pool_connections=32,
        )
        session = self._session if role_arn is None else self._assume(role_arn, session_name, region)
        return session.client(service, region_name=region, endpoint_url=self._endpoint_url, config=config)

    def _assume(self, role_arn: str, session_name: str, region: str) -> boto3.Session:
        """A session of the role, whose credentials renew themselves; the first ones are there on return."""
        core = self._session._session  # noqa: SLF001 - botocore's own session; boto3 has no way to assume a role
        source = core.get_credentials()
        if source is None:
            raise NoCredentialsError
        config = Config(connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT)
        fetcher = AssumeRoleCredentialFetcher(
            client_creator=lambda name, **options: core.create_client(
                name, endpoint_url=self._endpoint_url, config=config, **{"region_name": region, **options}
            ),
            source_credentials=source,
            role_arn=role_arn,
            extra_args={"RoleSessionName": session_name},
        )
        credentials = DeferredRefreshableCredentials(method="assume-role", refresh_using=fetcher.fetch_credentials)
        credentials.get_frozen_credentials()
        assumed = boto3.Session()
        assumed._session._credentials = credentials  # noqa: SLF001 - as above
        return assumed
