"""AWS: who one is there, whether each service is described, and whether each watch has datapoints."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bokgu.api.meta import find_condition
from bokgu.api.observed import AwsError, CallerIdentity, EcsService, Series
from bokgu.api.protected_service import ProtectedService
from bokgu.api.role_grants import ROLE_NOT_ALLOWED
from bokgu.core.doctor.outcome import Outcome, Unread, fail, not_known, warn, well
from bokgu.core.watch import Watch

AWS, SERVICES, METRICS = "aws", "services", "metrics"

_DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "Forbidden"}
)
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"})
_SKEWED = frozenset({"SignatureDoesNotMatch", "InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed"})
_GONE = frozenset({"MISSING", "ClusterNotFoundException", "ServiceNotFoundException"})


@dataclass(frozen=True)
class Place:
    """Whose eyes look where: the operator's own, or a role's that is assumed for a namespace."""

    region: str
    role_arn: str | None = None
    namespace: str = ""

    @property
    def whose(self) -> str:
        """As `bokgu iam-policy --for` names it."""
        return self.role_arn or "own"

    def __str__(self) -> str:
        as_ = f"{self.role_arn} for {self.namespace}" if self.role_arn else "own identity"
        return f"{as_} in {self.region}"


def advise(error: AwsError, place: Place) -> str:
    """What to do about an answer of AWS."""
    if error.code == ROLE_NOT_ALLOWED:
        return f"let BOKGU_ASSUMABLE_ROLES name it, here as for the operator: {place.namespace}={place.role_arn}"
    if error.operation == "AssumeRole":
        return "let the role's trust policy name this identity and the external id (docs/install.md, IAM roles)"
    if error.code in _DENIED:
        return f"bokgu iam-policy -A --for {place.whose} prints what it must be allowed"
    if error.code in _EXPIRED or "credentials" in error.message.lower():
        return "give AWS credentials (aws sts get-caller-identity): IRSA for the operator, a login for people"
    if error.code in _SKEWED:
        return "set this machine's clock: AWS takes signatures within 5 minutes only; else check the secret key"
    if error.code in _GONE:
        return "correct spec.ecs and spec.region, or delete the ProtectedService"
    if error.code == "NoSession":
        return "correct AWS_PROFILE, and the files that it names"
    if error.code in {"Unreachable", "NoAnswer"}:
        return f"let this machine reach the AWS endpoints of {place.region}: proxy, firewall, VPC endpoints"
    return "look the code up in the API reference of that operation, and try again"


def check_identity(place: Place, found: CallerIdentity | AwsError | Unread) -> Outcome:
    """AWS is reached, and says who one is."""
    if isinstance(found, Unread):
        hint = "run bokgu doctor with the operator's settings and account, such as in its pod"
        return not_known(AWS, str(place), found, hint)
    if isinstance(found, AwsError):
        return fail(AWS, str(place), str(found), advise(found, place))
    return well(AWS, str(place), f"account {found.account}, as {found.arn}")


def check_service(protected: ProtectedService, place: Place, found: EcsService | AwsError | Unread) -> Outcome:
    """ECS describes the service."""
    name = f"{protected.metadata.namespace}/{protected.metadata.name}"
    if isinstance(found, Unread):
        said = f"not asked: {found.why}{_operators_word(protected)}"
        return warn(SERVICES, name, said, f"see to {AWS} first")
    if isinstance(found, AwsError):
        return fail(SERVICES, name, str(found), advise(found, place))
    said = f"{found.status}, {found.running_count}/{found.desired_count} tasks run"
    if found.status != "ACTIVE":
        return fail(SERVICES, name, said, "it was deleted: delete the ProtectedService, or name the new service")
    return well(SERVICES, name, said)


def _operators_word(protected: ProtectedService) -> str:
    """What the operator itself says of the service."""
    ready = find_condition(protected.status.conditions, "Ready")
    return f"; the operator says Ready={ready.status}, {ready.reason}" if ready else ""


def check_watch(watch: Watch, place: Place, found: Mapping[str, Series | AwsError] | Unread) -> Outcome:
    """CloudWatch answers for each query of the watch; one that has no datapoint may be named wrongly."""
    name = f"{watch.kind} {watch.namespace}/{watch.name}"
    if isinstance(found, Unread):
        return warn(METRICS, name, f"not asked: {found.why}", f"see to {AWS} first")
    bad = {query: answer for query, answer in found.items() if isinstance(answer, AwsError)}
    if bad:
        query, error = next(iter(bad.items()))
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        return fail(METRICS, name, f"{query}{more}: {error}", advise(error, place))
    silent = sorted(q for q, answer in found.items() if isinstance(answer, Series) and not answer.points)
    if found and len(silent) == len(found):
        hint = "without traffic that is as it should be; else compare names and dimensions with the CloudWatch console"
        return warn(METRICS, name, f"no datapoint of {', '.join(silent[:4])} within the window", hint)
    return well(METRICS, name, f"{len(found)} queries answered, {len(found) - len(silent)} with datapoints")


def check_watches_exist(services: Iterable[ProtectedService], watched: Iterable[Watch]) -> Iterable[Outcome]:
    """Each service is watched by something."""
    seen = {(watch.namespace, watch.service) for watch in watched}
    for protected in services:
        metadata, detection = protected.metadata, protected.spec.detection
        if (metadata.namespace, metadata.name) in seen or detection.presets or detection.alarms:
            continue
        name = f"{metadata.namespace}/{metadata.name}"
        hint = "list presets in spec.detection, or name alarms, or create a Detector (docs/detection.md)"
        yield warn(METRICS, name, "nothing is detected: it has no presets, alarms or Detectors", hint)
