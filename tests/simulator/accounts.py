"""Whose keys signed a call: accounts, the roles in them, and the sessions that STS handed out."""

import hashlib
import threading
from dataclasses import dataclass, field
from typing import Any

from .clock import Clock
from .common_errors import build_expired_token

DEFAULT_ACCOUNT = "123456789012"
"""Whose keys are that no role session owns."""


@dataclass(frozen=True)
class Caller:
    """Who makes a call. `arn` and `user_id` are what GetCallerIdentity tells."""

    account: str
    arn: str
    user_id: str
    role_session_name: str | None = None


@dataclass(frozen=True)
class Role:
    """How far a role can be assumed. A role that nobody declared can be, by anyone, without an external id."""

    arn: str
    assumable: bool = True
    external_id: str | None = None


@dataclass(frozen=True)
class Session:
    """Temporary credentials, and whose they are. `expires_at` is in wall seconds since the epoch."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_at: float
    caller: Caller


@dataclass
class Accounts:
    """Every account's roles and sessions. Thread-safe."""

    clock: Clock
    seed: int
    _roles: dict[str, Role] = field(default_factory=dict)
    _policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    _sessions: dict[str, Session] = field(default_factory=dict)
    _handed_out: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def declare_role(self, role: Role) -> None:
        """From now on the role can be assumed as far as `role` says; ValueError for an ARN that is not a role's."""
        read_role_arn(role.arn)
        with self._lock:
            self._roles[role.arn] = role

    def find_role(self, arn: str) -> Role:
        """The role, as declared or as roles are by default."""
        with self._lock:
            return self._roles.get(arn, Role(arn))

    def attach_policy(self, arn: str, policy: dict[str, Any] | None) -> None:
        """From now on IAM says that the user or role may do what the document allows; None: everything."""
        with self._lock:
            self._policies.pop(arn, None)
            if policy is not None:
                self._policies[arn] = policy

    def find_policy(self, arn: str) -> dict[str, Any] | None:
        """The document that is attached to a user or role."""
        with self._lock:
            return self._policies.get(arn)

    def open_session(self, role_arn: str, session_name: str, duration_seconds: float) -> Session:
        """New credentials for a session of a role; they expire after `duration_seconds` of wall time."""
        account, role_name = read_role_arn(role_arn)
        with self._lock:
            self._handed_out += 1
            digest = hashlib.sha256(f"{self.seed}/{self._handed_out}".encode()).hexdigest().upper()
            now = self.clock.now()
            for key in [key for key, session in self._sessions.items() if session.expires_at < now - 3600]:
                del self._sessions[key]
            caller = Caller(
                account=account,
                arn=f"arn:aws:sts::{account}:assumed-role/{role_name}/{session_name}",
                user_id=f"{compute_role_id(role_arn)}:{session_name}",
                role_session_name=session_name,
            )
            session = Session(f"ASIA{digest[:16]}", digest[16:56], f"token-{digest}", now + duration_seconds, caller)
            self._sessions[session.access_key_id] = session
            return session

    def identify(self, access_key_id: str | None) -> Caller:
        """Who signs with this key: a role's session, else a user of the default account."""
        with self._lock:
            session = self._sessions.get(access_key_id or "")
        if session is not None:
            return session.caller
        return Caller(DEFAULT_ACCOUNT, f"arn:aws:iam::{DEFAULT_ACCOUNT}:user/simulator", access_key_id or "anonymous")

    def check_session(self, service: str, access_key_id: str | None) -> None:
        """ExpiredTokenException, in the service's spelling, when the key's session is over."""
        with self._lock:
            session = self._sessions.get(access_key_id or "")
        if session is not None and session.expires_at <= self.clock.now():
            raise build_expired_token(service)


def read_role_arn(arn: str) -> tuple[str, str]:
    """Account and name of a role, whose path AWS leaves out of session ARNs; ValueError when it is none."""
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[2] != "iam" or not parts[5].startswith("role/") or not parts[4].isdecimal():
        raise ValueError(f"{arn} is not the ARN of a role")
    return parts[4], parts[5].rsplit("/", 1)[-1]


def compute_role_id(arn: str) -> str:
    """The role's unique id, `AROA…` (IAM user guide, "Unique identifiers")."""
    return f"AROA{hashlib.sha256(arn.encode()).hexdigest().upper()[:17]}"
