"""Whether load balancers see the tasks of a service, too, before a step counts as done."""

from bokgu.core.live_state import LiveState

UNREAD = "the health of its targets could not be read (elasticloadbalancing:DescribeTargetHealth)"


def find_unserved(live: LiveState) -> str | None:
    """What keeps the service from serving behind its load balancers, or None: fewer healthy targets than wanted tasks,
    or nobody knows. Of a blue/green pair the half in use must have them."""
    service, healthy = live.service, live.healthy_targets
    if not service.target_groups or service.desired_count == 0:
        return None
    if healthy is None:
        return UNREAD
    for arn in service.target_groups:
        other = service.target_pairs.get(arn)
        found = max(healthy.get(arn, 0), healthy.get(other, 0) if other else 0)
        if found < service.desired_count:
            return f"{found} of {service.desired_count} targets are healthy in {arn.rpartition(':')[2]}"
    return None
