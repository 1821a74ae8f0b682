"""Errors that any call can meet, with the code, the HTTP status and the words of each service.

Sources: the "Common Errors" page of each service's API reference, and botocore's models. AWS JSON services say
ThrottlingException, AccessDeniedException and ExpiredTokenException with status 400; the older query services say
Throttling (400), AccessDenied and ExpiredToken (403). CloudWatch and SQS kept the query codes when they got AWS JSON.
"""

from .errors import AwsError

_QUERY_CODES = frozenset({"cloudwatch", "elbv2", "sns", "sqs", "sts", "iam", "cloudformation", "autoscaling"})
_THROTTLING_CODES = {"sns": "Throttled", "sqs": "RequestThrottled"}
_SERVER_ERRORS = {
    "application-autoscaling": "InternalServiceException",
    "cloudwatch": "InternalServiceFault",
    "dynamodb": "InternalServerError",
    "ecs": "ServerException",
    "events": "InternalException",
    "logs": "ServiceUnavailableException",
    "sns": "InternalError",
    "ssm": "InternalServerError",
}
_IAM_PREFIXES = {"elbv2": "elasticloadbalancing"}


def name_action(service: str, operation: str) -> str:
    """The action in IAM's words, such as `ecs:UpdateService`; `service` is botocore's name."""
    return f"{_IAM_PREFIXES.get(service, service)}:{operation}"


def build_throttling(service: str) -> AwsError:
    """The request came too fast: "Rate exceeded"."""
    if service in _QUERY_CODES:
        return AwsError(_THROTTLING_CODES.get(service, "Throttling"), "Rate exceeded")
    return AwsError("ThrottlingException", "Rate exceeded")


def build_access_denied(service: str, action: str, principal: str, resource: str = "") -> AwsError:
    """`principal` (an ARN) may not do `action` (such as `ecs:UpdateService`) to `resource` (an ARN, if known)."""
    target = f" on resource: {resource}" if resource else ""
    message = f"User: {principal} is not authorized to perform: {action}{target}"
    if service != "sts":
        message += f" because no identity-based policy allows the {action} action"
    if service in _QUERY_CODES:
        return AwsError("AccessDenied", message, 403)
    return AwsError("AccessDeniedException", message)


def build_expired_token(service: str) -> AwsError:
    """The session's credentials are no longer valid."""
    message = "The security token included in the request is expired"
    if service in _QUERY_CODES:
        return AwsError("ExpiredToken", message, 403)
    return AwsError("ExpiredTokenException", message)


def build_server_error(service: str) -> AwsError:
    """The service failed on its own side (HTTP 500)."""
    return AwsError(_SERVER_ERRORS.get(service, "InternalFailure"), "Service Unavailable. Please try again later.", 500)
