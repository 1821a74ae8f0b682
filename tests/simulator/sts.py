"""AWS Security Token Service: sessions of roles in any account, and who one is."""

from collections.abc import Callable

from .accounts import Accounts, Caller, Session, compute_role_id, read_role_arn
from .aws_protocol import Json
from .common_errors import build_access_denied
from .errors import AwsError

DEFAULT_DURATION_SECONDS = 3600
LONGEST_DURATION_SECONDS = 43_200
LONGEST_CHAINED_SECONDS = 3600
"""IAM user guide, "Role chaining": a role assumed with a role's credentials is limited to one hour."""


class Sts:
    """Each method answers one operation for a caller: parameters in, members of the answer out, AwsError else."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self.operations: dict[str, Callable[[Json, Caller, str], Json]] = {
            "AssumeRole": self.assume_role,
            "AssumeRoleWithWebIdentity": self.assume_role_with_web_identity,
            "GetCallerIdentity": self.get_caller_identity,
        }

    def get_caller_identity(self, _request: Json, caller: Caller, _region: str) -> Json:
        """GetCallerIdentity: "No permissions are required to perform this operation"."""
        return {"UserId": caller.user_id, "Account": caller.account, "Arn": caller.arn}

    def assume_role(self, request: Json, caller: Caller, _region: str) -> Json:
        """AssumeRole, in any account; AccessDenied where the role's trust policy does not let the caller in."""
        arn = request["RoleArn"]
        role = self._accounts.find_role(arn)
        if not role.assumable or role.external_id not in (None, request.get("ExternalId")):
            # IAM does not say which condition failed.
            raise build_access_denied("sts", "sts:AssumeRole", caller.arn, arn)
        duration = request.get("DurationSeconds", DEFAULT_DURATION_SECONDS)
        if caller.role_session_name is not None and duration > LONGEST_CHAINED_SECONDS:
            raise AwsError(
                "ValidationError",
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
            )
        return self._answer(self._open(arn, request["RoleSessionName"], duration), arn)

    def assume_role_with_web_identity(self, request: Json, _caller: Caller, _region: str) -> Json:
        """AssumeRoleWithWebIdentity, as pods with an IAM role call it; the token is taken for what it says."""
        arn = request["RoleArn"]
        if not self._accounts.find_role(arn).assumable:
            raise AwsError("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403)
        session = self._open(arn, request["RoleSessionName"], request.get("DurationSeconds", DEFAULT_DURATION_SECONDS))
        return self._answer(session, arn) | {"SubjectFromWebIdentityToken": "system:serviceaccount:simulator:any"}

    def _open(self, arn: str, session_name: str, duration: int) -> Session:
        try:
            read_role_arn(arn)
        except ValueError as error:
            raise AwsError("ValidationError", f"{arn} is invalid") from error
        if duration > LONGEST_DURATION_SECONDS:
            raise AwsError(
                "ValidationError", f"DurationSeconds {duration} must have value less than {LONGEST_DURATION_SECONDS}"
            )
        return self._accounts.open_session(arn, session_name, duration)

    def _answer(self, session: Session, role_arn: str) -> Json:
        return {
            "Credentials": {
                "AccessKeyId": session.access_key_id,
                "SecretAccessKey": session.secret_access_key,
                "SessionToken": session.session_token,
                "Expiration": session.expires_at,
            },
            "AssumedRoleUser": {
                "AssumedRoleId": f"{compute_role_id(role_arn)}:{session.caller.role_session_name}",
                "Arn": session.caller.arn,
            },
            "PackedPolicySize": 0,
        }
