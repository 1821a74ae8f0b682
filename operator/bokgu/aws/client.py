"""AWS calls: shared Sessions, bounded threads, explicit timeouts, errors that say whether a call may have had
an effect.

A Session costs about 117 ms and 11 MB, most of it the models of AWS's APIs, a client on it 2 ms. So there is one
Session for the operator itself, one for each role in each region, which reads the models of the first, and clients are
kept. A role that two namespaces assume is two roles: neither ever gets what the other's external id opened.
"""

import asyncio
import contextlib
import copy
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from threading import Lock
from typing import Any, Self

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
from botocore.parsers import ResponseParserError
from botocore.utils import parse_timestamp

from bokgu.api.observed import AwsError
from bokgu.api.own_patterns import OwnPatterns
from bokgu.api.quotas import DEFAULT_QUOTAS, Quota
from bokgu.api.role_grants import ROLE_NOT_ALLOWED, RoleGrant
from bokgu.aws.rate_limits import RateLimits, account_of
from bokgu.aws.threads import Threads
from bokgu.metrics.aws import AWS_REQUESTS, AWS_SECONDS, AWS_THROTTLES

CONNECT_TIMEOUT = 3
READ_TIMEOUT = 10
PASSING = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "ConcurrentUpdateException",
        "ExpiredToken",
        "ExpiredTokenException",
        "Unreachable",
        "TooLate",
    }
)
"""Codes of calls that were not carried out and may be made again later. A write opens a session of its own, so that
credentials that have expired are others the next time."""

THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "SlowDown",
    }
)
"""Codes by which AWS says that it is asked too often (botocore's standard retry mode, without those that say that a
resource is busy or at a limit)."""

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"})
"""Codes by which AWS refuses a role's credentials before their time, such as after "revoke sessions" (IAM)."""

_NEVER_SENT = (ConnectTimeoutError, EndpointConnectionError, NoCredentialsError, ParamValidationError)


@dataclass(frozen=True)
class _AssumedRole:
    """A role as it is assumed: its ARN, and the external id that its trust policy may demand."""

    arn: str
    external_id: str | None


@dataclass(frozen=True)
class _Call:
    """One call. `session_name` and `deadline` (monotonic) are set for writes; `waits` is how many seconds AWS may take
    by design."""

    service: str
    operation: str
    arguments: Mapping[str, Any]
    region: str
    role: _AssumedRole | None
    session_name: str | None = None
    deadline: float | None = None
    waits: int = 0
    bulk: bool = False

    @property
    def lane(self) -> tuple[str, str, bool]:
        """Calls of one lane share threads: an API that hangs in one region holds up nothing else, and bulk reads of it
        hold up no others."""
        return (self.service, self.region, self.bulk)


class AwsClient:
    """Makes AWS calls for all accounts and regions.

    It assumes the roles of its grant and no others: a call with another one is refused (code RoleNotAllowed) before
    anything is asked of AWS. A fresh client acts for the operator itself; for a namespace one acts that has its grant.
    """

    def __init__(
        self,
        endpoint_url: str | None,
        threads: int,
        quotas: Mapping[str, Quota] = DEFAULT_QUOTAS,
        grant: RoleGrant = RoleGrant(),  # noqa: B008 - it is frozen
        own_patterns: OwnPatterns = OwnPatterns(),  # noqa: B008 - it is frozen
    ) -> None:
        """`endpoint_url` replaces the address of every AWS API; `threads` bounds the calls under way in a lane and
        `quotas` their rate. What `own_patterns` match is hidden in what AWS says for people."""
        self._endpoint_url = endpoint_url
        self._grant = grant
        self._own = own_patterns
        self._count: Callable[[], None] = _nothing
        self._limits = RateLimits(quotas)
        self._threads = Threads("aws")
        self._session = _new_session()
        self._slots: dict[tuple[str, str, bool], asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(threads))
        self._lock = Lock()
        self._clients: dict[tuple[str, str, _AssumedRole | None, int], Any] = {}
        self._roles: dict[tuple[_AssumedRole, str], boto3.Session] = {}
        self._role_locks: dict[tuple[_AssumedRole, str], Lock] = defaultdict(Lock)

    def with_grant(self, grant: RoleGrant) -> Self:
        """The same client with another grant: threads, quotas and sessions are shared, and `close` closes both."""
        other = copy.copy(self)
        other._grant = grant  # noqa: SLF001 - it is one of us
        return other

    def counting(self, count: Callable[[], None]) -> Self:
        """The same client, which says at each call that it makes one. It shares all else."""
        other = copy.copy(self)
        other._count = count  # noqa: SLF001 - it is one of us
        return other

    def close(self) -> None:
        """Close idle connections. Calls under way are not waited for: nobody asks for their answers any more."""
        with self._lock:
            for client in self._clients.values():
                client.close()

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
        role = self._find_role(role_arn)
        await self._limits.acquire(account_of(role_arn), region, service, operation, bulk=bulk)
        return await self._run(_Call(service, operation, arguments, region, role, bulk=bulk))

    async def poll(
        self, service: str, operation: str, arguments: Mapping[str, Any], *, region: str, seconds: int
    ) -> dict[str, Any]:
        """Make a call, once, that AWS may answer only after so many seconds; no bound holds it up. Raises AwsError."""
        return await self._start(_Call(service, operation, arguments, region, None, waits=seconds))

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
        role = self._find_role(role_arn)
        await self._limits.acquire(account_of(role_arn), region, service, operation)
        return await self._run(_Call(service, operation, arguments, region, role, session_name, deadline))

    def _find_role(self, arn: str | None) -> _AssumedRole | None:
        """The role as it is assumed under the grant. Raises AwsError."""
        if arn is None:
            return None
        if not self._grant.covers(arn):
            raise AwsError("AssumeRole", ROLE_NOT_ALLOWED, self._grant.refuse(arn), sent=False)
        return _AssumedRole(arn, self._grant.external_id)

    async def _run(self, call: _Call) -> dict[str, Any]:
        slots = self._slots[call.lane]
        await slots.acquire()
        try:
            answer = self._start(call)
        except AwsError:
            slots.release()
            raise
        # The thread gives the slot back, not who waits for it: a call goes on when nobody wants its answer any more.
        answer.add_done_callback(lambda _: slots.release())
        return await asyncio.shield(answer)

    def _start(self, call: _Call) -> asyncio.Future[dict[str, Any]]:
        """Make the call in a thread, which does not hold up the end of the process. Raises AwsError where there is none
        to be had."""
        self._count()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[dict[str, Any]] = loop.create_future()

        def settle(result: dict[str, Any] | BaseException) -> None:
            if answer.done():
                return  # Cancelled.
            if isinstance(result, BaseException):
                answer.set_exception(result)
                answer.exception()  # It is no defect that nobody waits for it any more.
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

        try:
            self._threads.run(run)
        except RuntimeError as error:
            raise AwsError(call.operation, "Unreachable", f"no thread to call from: {error}", sent=False) from error
        return answer

    def _make(self, call: _Call) -> dict[str, Any]:
        begun, code, made = time.monotonic(), "OK", False
        AWS_THROTTLES.labels(call.service, call.operation)  # From zero on: Prometheus sees no increase in a first 1.
        try:
            client = self._client(call)
            if call.deadline is not None and time.monotonic() > call.deadline:
                code = "TooLate"
                raise AwsError(call.operation, code, "no thread or no credentials in time", sent=False)
            made = True
            answer: dict[str, Any] = client._make_api_call(call.operation, dict(call.arguments))  # noqa: SLF001 - by API name
            answer = self._own.hide_members(answer)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
            if code in EXPIRED:
                self._forget(call)
            message = error.response["Error"].get("Message", "")
            if error.operation_name == "AssumeRole" and call.role and call.role.external_id:
                message += f" with the external id {call.role.external_id}"
            if not made and status >= 500:
                code = "Unreachable"
            raise AwsError(call.operation, code, self._own.hide(message), sent=made and status >= 500) from error
        except _NEVER_SENT as error:
            code = "Unreachable" if not isinstance(error, ParamValidationError) else "InvalidRequest"
            raise AwsError(call.operation, code, self._own.hide(str(error)), sent=False) from error
        except (BotoCoreError, ResponseParserError) as error:  # The latter is none of the former: a proxy's page, say.
            code = "NoAnswer" if made else "Unreachable"
            raise AwsError(call.operation, code, self._own.hide(str(error)), sent=made) from error
        finally:
            AWS_REQUESTS.labels(call.service, call.operation, code).inc()
            AWS_SECONDS.labels(call.service, call.operation).observe(time.monotonic() - begun)
        return answer

    def _client(self, call: _Call) -> Any:
        """A kept client for reads; for a write a client of its own, whose session carries the name."""
        if call.session_name:
            return self._new_client(call, self._open_session(call), call.session_name, retries=0)
        key = (call.service, call.region, call.role, call.waits)
        if (kept := self._clients.get(key)) is not None:
            return kept
        client = self._new_client(call, self._open_session(call), "bokgu-read", retries=0 if call.waits else 2)
        with self._lock:
            return self._clients.setdefault(key, client)

    def _new_client(self, call: _Call, session: boto3.Session, session_name: str, *, retries: int) -> Any:
        config = Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT + call.waits,
            retries={"mode": "standard", "total_max_attempts": retries + 1},
            user_agent_extra=f"bokgu/{session_name}",
            max_pool_connections=32,
        )
        with self._lock:  # Creating clients on a shared Session is not thread-safe (boto3 documentation).
            client = session.client(
                call.service, region_name=call.region, endpoint_url=self._endpoint_url, config=config
            )
        client.meta.events.register("response-received", partial(_count_throttle, call.service))
        return client

    def _open_session(self, call: _Call) -> boto3.Session:
        """The operator's own session, or one of the call's role: kept for reads, a new one for each write."""
        if call.role is None:
            if call.session_name and (own := self._session.get_credentials()) is not None:
                own.get_frozen_credentials()  # Else who gives them would be asked in the middle of the call.
            return self._session
        if call.session_name:
            return self._assume(call.role, call.session_name, call.region)
        key = (call.role, call.region)
        with self._lock:
            lock = self._role_locks[key]
        with lock:  # One lock each: a role that hangs holds up no other.
            if key not in self._roles:
                self._roles[key] = self._assume(call.role, "bokgu-read", call.region)
            return self._roles[key]

    def _forget(self, call: _Call) -> None:
        """Let the next read assume the role anew."""
        if call.role is None or call.session_name:
            return
        with self._lock:
            self._roles.pop((call.role, call.region), None)
            for key in [key for key in self._clients if key[1:3] == (call.region, call.role)]:
                del self._clients[key]

    def _assume(self, role: _AssumedRole, session_name: str, region: str) -> boto3.Session:
        """A session of the role, whose credentials renew themselves; the first ones are there on return."""
        with self._lock:
            source = self._session.get_credentials()
        if source is None:
            raise NoCredentialsError
        sts = self._client(_Call("sts", "AssumeRole", {}, region, None))
        fetcher = AssumeRoleCredentialFetcher(
            client_creator=lambda *_, **__: sts,
            source_credentials=source,
            role_arn=role.arn,
            extra_args={"RoleSessionName": session_name}
            | ({"ExternalId": role.external_id} if role.external_id else {}),
        )
        credentials = DeferredRefreshableCredentials(method="assume-role", refresh_using=fetcher.fetch_credentials)
        credentials.get_frozen_credentials()
        assumed = _new_session(self._session)
        assumed._session._credentials = credentials  # noqa: SLF001 - boto3 has no way to assume a role
        return assumed


def _nothing() -> None:
    """Nobody counts."""


def _count_throttle(
    service: str, *, event_name: str, parsed_response: Mapping[str, Any] | None = None, **_: Any
) -> None:
    """A handler of botocore's event `response-received.SERVICE.OPERATION`, which comes with each attempt of the SDK."""
    if parsed_response and parsed_response.get("Error", {}).get("Code") in THROTTLED:
        AWS_THROTTLES.labels(service, event_name.rpartition(".")[2]).inc()


def _new_session(models: boto3.Session | None = None) -> boto3.Session:
    """A session that reads timestamps a dozen times faster: botocore asks for the local time zone at each of them.

    It shares the APIs' models of the other session.
    """
    session = boto3.Session()
    core = session._session  # noqa: SLF001 - boto3 has no way to set these
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_read_timestamp)
    if models is not None:
        core.register_component("data_loader", models._session.get_component("data_loader"))  # noqa: SLF001 - as above
    return session


def _read_timestamp(value: Any) -> datetime:
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    moment: datetime = parse_timestamp(value)
    return moment
