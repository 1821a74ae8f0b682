"""AWS calls: one shared Session, a bounded thread pool, explicit timeouts, errors that say whether a call may have had
an effect.

A Session costs about 117 ms and 11 MB, a client on it 2 ms, so there is one Session and clients are kept.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock, Thread
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
from botocore.utils import parse_timestamp

from bokgu.api.observed import AwsError
from bokgu.api.quotas import DEFAULT_QUOTAS, Quota
from bokgu.aws.rate_limits import RateLimits, account_of
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
    """One call. `session_name` and `deadline` (monotonic) are set for writes; `waits` is how many seconds AWS may take
    by design."""

    service: str
    operation: str
    arguments: Mapping[str, Any]
    region: str
    role_arn: str | None
    session_name: str | None = None
    deadline: float | None = None
    waits: int = 0


class AwsClient:
    """Makes AWS calls for all accounts and regions."""

    def __init__(self, endpoint_url: str | None, threads: int, quotas: Mapping[str, Quota] = DEFAULT_QUOTAS) -> None:
        """`endpoint_url` replaces the address of every AWS API; `threads` bounds the calls under way; `quotas` their
        rate."""
        self._endpoint_url = endpoint_url
        self._limits = RateLimits(quotas)
        self._session = _new_session()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="aws")
        self._lock = Lock()
        self._clients: dict[tuple[str, str, str | None, int], Any] = {}

    def close(self) -> None:
        """Wait for calls under way and release the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def read(
        self,
        service: str,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        region: str,
        role_arn: str | None,
        bulk: bool = False,
    ) -> dict[str, Any]:
        """Make a call that changes nothing, or no more when made twice. The SDK repeats it on throttling and passing
        faults. Raises AwsError.

        It waits while the account's quota is used up; `bulk` reads let all others go first.
        """
        await self._limits.acquire(account_of(role_arn), region, service, operation, bulk=bulk)
        return await self._run(_Call(service, operation, arguments, region, role_arn))

    async def poll(
        self, service: str, operation: str, arguments: Mapping[str, Any], *, region: str, seconds: int
    ) -> dict[str, Any]:
        """Make a call, once, that AWS may answer only after so many seconds. Raises AwsError.

        It has a thread of its own, which holds nobody up: neither the other calls, nor the end of the process.
        """
        call = _Call(service, operation, arguments, region, None, waits=seconds)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[dict[str, Any]] = loop.create_future()

        def settle(result: dict[str, Any] | BaseException) -> None:
            if answer.done():
                return  # Cancelled.
            if isinstance(result, BaseException):
                answer.set_exception(result)
            else:
                answer.set_result(result)

        def run() -> None:
            result: dict[str, Any] | BaseException
            try:
                result = self._make(call)
            except BaseException as error:
                result = error
            with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits any more.
                loop.call_soon_threadsafe(settle, result)

        Thread(target=run, name=f"aws-poll-{operation}", daemon=True).start()
        return await answer

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

        The call begins before `deadline` (monotonic time), after waiting for the quota, a thread and credentials, or
        not at all (code TooLate).

        `session_name` names the assumed role's session and stands in the user agent, so that CloudTrail tells which
        step made the call.
        """
        await self._limits.acquire(account_of(role_arn), region, service, operation)
        return await self._run(_Call(service, operation, arguments, region, role_arn, session_name, deadline))

    async def _run(self, call: _Call) -> dict[str, Any]:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._make, call)

    def _make(self, call: _Call) -> dict[str, Any]:
        begun, code = time.monotonic(), "OK"
        try:
            client = self._client(call)
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

    def _client(self, call: _Call) -> Any:
        """A kept client for reads; for a write a client of its own, whose session carries the name."""
        with self._lock:  # Creating clients on a shared Session is not thread-safe (boto3 documentation).
            if call.session_name:
                return self._new_client(call, call.session_name, retries=0)
            key = (call.service, call.region, call.role_arn, call.waits)
            if key not in self._clients:
                self._clients[key] = self._new_client(call, "bokgu-read", retries=0 if call.waits else 2)
            return self._clients[key]

    def _new_client(self, call: _Call, session_name: str, *, retries: int) -> Any:
        config = Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT + call.waits,
            retries={"mode": "standard", "total_max_attempts": retries + 1},
            user_agent_extra=f"bokgu/{session_name}",
            max_pool_connections=32,
        )
        session = self._session if call.role_arn is None else self._assume(call.role_arn, session_name, call.region)
        return session.client(call.service, region_name=call.region, endpoint_url=self._endpoint_url, config=config)

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
        assumed = _new_session()
        assumed._session._credentials = credentials  # noqa: SLF001 - as above
        return assumed


def _new_session() -> boto3.Session:
    """A session that reads timestamps a dozen times faster: botocore asks for the local time zone at each of them."""
    session = boto3.Session()
    factory = session._session.get_component("response_parser_factory")  # noqa: SLF001 - boto3 has no way to set it
    factory.set_parser_defaults(timestamp_parser=_read_timestamp)
    return session


def _read_timestamp(value: Any) -> datetime:
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    moment: datetime = parse_timestamp(value)
    return moment
