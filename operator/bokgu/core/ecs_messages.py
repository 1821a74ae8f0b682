"""What Amazon ECS means by its messages: stopped reasons, container reasons and service events.

Source of all rows: Amazon ECS developer guide, "Stopped tasks error codes", "CannotPullContainer task errors",
"Service event messages", "Viewing stopped task errors"; AWS re:Post, "Why is my Amazon ECS task stopped?". The wording
behind the prefix comes from containerd, Docker and the SDK for Go, whose own errors the agents pass on.
"""

import re
from dataclasses import dataclass

from bokgu.api.vocabulary import RootCause

LOOKED_AT = 1024
"""Characters of a message that are looked at: those of ECS are not longer."""


@dataclass(frozen=True)
class MessageRule:
    """A pattern, searched in any case, and the cause that it shows."""

    pattern: re.Pattern[str]
    cause: RootCause


def _rule(cause: RootCause, *alternatives: str) -> MessageRule:
    return MessageRule(re.compile("|".join(alternatives), re.IGNORECASE), cause)


STEADY = re.compile(r"has reached a steady state\.?$")
"""The scheduler has nothing left to do; what it told of before is over."""

ROLLS_BACK = re.compile(r"rolling back to (deployment|deploymentId|service revision)", re.IGNORECASE)
"""The deployment circuit breaker, or an alarm, makes ECS go back."""

FORCED_OFF = re.compile(r"deregistration forced by user", re.IGNORECASE)
"""Somebody took the container instance out of the cluster, with all that ran on it."""

HEALTH = re.compile(
    r"failed (ELB|container) health checks|is unhealthy in \(?target-group|is not healthy in target-group"
    r"|TARGET GROUP IS NOT FOUND|replaced \d+ tasks? due to an unhealthy status",
    re.IGNORECASE,
)
"""A load balancer or the container's own command found the task wanting."""

CODES = re.compile(r"Health checks failed with these codes: \[(\d+)")
"""The HTTP status that the health check was answered with."""

CANNOT_MOVE = re.compile(r"because of the service deployment configuration", re.IGNORECASE)
"""minimumHealthyPercent and maximumPercent leave a deployment no room: no task may stop, and none may start."""

CANNOT_START = re.compile(r"Cannot(Start|Create)ContainerError", re.IGNORECASE)
"""The container runtime refused the container, for a reason that no row of START_FAILURES knows."""

ROUTINE = re.compile(
    r"^Scaling activity initiated by|due to AZ rebalancing|Task set (was )?scaled|deployment replaced", re.IGNORECASE
)
"""Tasks that the scheduler stops because it needs fewer, or others."""

START_FAILURES = (
    _rule(
        RootCause.DISK_EXHAUSTED,
        r"no space left on device",
        r"thin pool has \d+ free data blocks",
        r"disk quota exceeded",
    ),
    _rule(RootCause.OUT_OF_MEMORY, r"OutOfMemoryError", r"OOM-?killed", r"memory limit too low"),
    _rule(
        RootCause.THROTTLED,
        r"RequestLimitExceeded",
        r"Request limit exceeded",
        r"ThrottlingException",
        r"Rate exceeded",
        r"operations are being throttled",
        r"TooManyRequestsException",
    ),
    _rule(
        RootCause.NETWORK_FAILURE,
        r"connection issue between the task and",
        r"context deadline exceeded",
        r"i/o timeout",
        r"Client\.Timeout exceeded",
        r"request canceled while waiting for connection",
        r"connection timed out",
        r"dial tcp [^ ]*:? ?(lookup|connect|i/o)",
        r"no route to host",
        r"network is unreachable",
        r"connection (refused|reset)",
        r"no such host",
        r"failed to resolve \"?fs-",
        r"temporary failure in name resolution",
        r"TLS handshake timeout",
        r"failed to configure ENI",
        r"failed to setup (regular )?eni",
        r"Timeout waiting for network interface provisioning",
        r"unexpected EC2 error while attempting to (create|delete) network interface",
    ),
    _rule(
        RootCause.PERMISSION_DENIED,
        r"AccessDenied",
        r"Access Denied",
        r"is not authorized to perform",
        r"not authorized to",
        r"UnauthorizedOperation",
        r"unable to assume (the )?role",
        r"IAM permissions? polic(y|ies) have been misconfigured",
        r"access denied by server while mounting",
        r"403 Forbidden",
        r"(KMS|key).{0,200}(access|permission).{0,200}denied",
        r"You are not authorized",
    ),
    _rule(
        RootCause.IMAGE_PULL_FAILURE,
        r"CannotPull\w*Error",
        r"CannotPullContainer",
        r"pull image manifest has been retried",
        r"manifest (unknown|not found)",
        r"does not contain descriptor matching platform",
        r"toomanyrequests",
        r"invalid reference format",
    ),
    _rule(
        RootCause.CAPACITY_UNAVAILABLE,
        r"Capacity is unavailable at this time",
        r"no container instance met all of its requirements",
        r"RESOURCE:(GPU|CPU|MEMORY|PORTS|ENI)",
        r"EMPTY_? ?CAPACITY_? ?PROVIDER",
        r"NO_? ?ACTIVE_? ?INSTANCES",
        r"No Container Instances were found",
        r"reached the limit on the number of (tasks|vCPUs)",
        r"(tasks )?provisioning capacity limit was exceeded",
        r"not have enough free (IP )?addresses",
        r"InsufficientFreeAddressesInSubnet",
        r"insufficient (CPU units|memory|GPU|ENI|network bandwidth|resources?) (available|in)",
        r"InsufficientInstanceCapacity",
        r"unable to attach network interface to unused device index",
        r"capacity provider .* (does not|cannot|could not)",
        r"no spot capacity|spot capacity.*unavailable",
    ),
    _rule(
        RootCause.SECRET_OR_CONFIG_FAILURE,
        r"ResourceInitializationError",
        r"ResourceNotFoundException",
        r"CannotCreateVolumeError",
        r"invalid ssm parameters",
        r"did not contain json key",
        r"looking for beginning of (value|object)",
        r"(security group|subnet|launch template)[^.]*(does not exist|not found)",
        r"InvalidGroup\.NotFound|InvalidSubnetID\.NotFound",
        r"failed to (initialize|validate) logg",
        r"AttributesNotFound|missing an attribute required",
    ),
    _rule(
        RootCause.HOST_OR_SPOT_INTERRUPTION,
        r"DockerTimeoutError",
        r"ContainerRuntimeTimeoutError",
        r"CannotInspectContainerError",
        r"CannotStopContainerError",
        r"agent (connected|disconnected)",
        r"TaskFailedToStart: AGENT",
        r"Timeout waiting for EphemeralStorage provisioning",
    ),
)
"""Why a task did not start or could not be placed: the more telling part of a message first. "AccessDenied" inside of
"ResourceInitializationError: unable to pull secrets" is about permissions; the same with a deadline about the network.
"""

DISCONNECTED = re.compile(r"(doesn't|does not) have the agent connected|agent (is )?disconnected", re.IGNORECASE)
"""The agent of the closest instance is gone: its tasks still count as running."""

LOST_HOST_CODES = frozenset({"SpotInterruption", "TerminationNotice", "InfrastructureHealth"})
"""Stop codes of tasks whose machine went away (API_Task, stopCode)."""

LOST_HOST = re.compile(
    r"Spot Task was interrupted|container instance is in DRAINING|Host EC2 \(instance [^)]*\) (stopped|terminated)"
    r"|performing maintenance on the underlying infrastructure|infrastructure (health|issue)|task retirement"
    r"|platform .* retired|underlying (host|hardware)",
    re.IGNORECASE,
)
"""The same in words."""


def explain_start_failure(text: str) -> RootCause | None:
    """The cause that a stopped reason or a service event shows, or None where it names none."""
    text = text[:LOOKED_AT]
    if DISCONNECTED.search(text):
        return RootCause.HOST_OR_SPOT_INTERRUPTION
    return next((rule.cause for rule in START_FAILURES if rule.pattern.search(text)), None)
