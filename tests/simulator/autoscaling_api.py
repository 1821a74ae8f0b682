"""The operations of the Application Auto Scaling API on AutoScaling: ECS services only."""

from collections.abc import Callable, Sequence

from .autoscaling import Activity, AutoScaling, Policy, ScalableTarget, ScheduledAction, suspend
from .aws_protocol import Json
from .clock import Clock
from .ecs import Identifiers
from .errors import AwsError
from .pages import Item, cut_page
from .scaling_schedules import parse_schedule

NAMESPACE = "ecs"
DIMENSION = "ecs:service:DesiredCount"
MAX_PAGE = 50
"""Of every Describe operation: "This value can be between 1 and 50. The default value is 50"."""
_ROLE = (
    "arn:aws:iam::{}:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_ECSService"
)
_CONFIGURATIONS = {
    "TargetTrackingScaling": "TargetTrackingScalingPolicyConfiguration",
    "StepScaling": "StepScalingPolicyConfiguration",
}


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)


class AutoScalingApi:
    """Each method answers one operation: request parameters in, members of the answer out, AwsError else."""

    def __init__(
        self, scaling: AutoScaling, clock: Clock, *, account: str, region: str, identifiers: Identifiers
    ) -> None:
        self._scaling = scaling
        self._clock = clock
        self._account = account
        self._region = region
        self._identifiers = identifiers
        self.operations: dict[str, Callable[[Json], Json]] = {
            "RegisterScalableTarget": self.register_scalable_target,
            "DescribeScalableTargets": self.describe_scalable_targets,
            "DeregisterScalableTarget": self.deregister_scalable_target,
            "PutScalingPolicy": self.put_scaling_policy,
            "DescribeScalingPolicies": self.describe_scaling_policies,
            "DeleteScalingPolicy": self.delete_scaling_policy,
            "PutScheduledAction": self.put_scheduled_action,
            "DescribeScheduledActions": self.describe_scheduled_actions,
            "DeleteScheduledAction": self.delete_scheduled_action,
            "DescribeScalingActivities": self.describe_scaling_activities,
        }

    # Scalable targets

    def register_scalable_target(self, request: Json) -> Json:
        """RegisterScalableTarget: new ones need both capacities; any call pulls the capacity into the range."""
        _check_dimension(request)
        resource_id, now = request["ResourceId"], self._clock.now()
        target = self._scaling.targets.get(resource_id)
        lowest = request.get("MinCapacity", None if target is None else target.min_capacity)
        highest = request.get("MaxCapacity", None if target is None else target.max_capacity)
        if lowest is None or highest is None:
            raise _invalid("Both MinCapacity and MaxCapacity are required to register a new scalable target.")
        if lowest < 0:
            raise _invalid("MinCapacity must be at least 0.")
        if lowest > highest:
            raise _invalid("Maximum capacity cannot be less than minimum capacity.")
        if target is None:
            if self._scaling.find_service(resource_id) is None:
                raise _invalid(f"ECS service doesn't exist: {resource_id}")
            arn = f"arn:aws:application-autoscaling:{self._region}:{self._account}:scalable-target/"
            id_ = f"0ec5{self._identifiers.hex_id()}"
            role = request.get("RoleARN", _ROLE.format(self._account))
            target = ScalableTarget(resource_id, arn + id_, role, lowest, highest, now)
            self._scaling.targets[resource_id] = target
        target.min_capacity, target.max_capacity = lowest, highest
        target.suspended = suspend(target.suspended, request.get("SuspendedState", {}))
        self._scaling.pull_into_range(target, now)
        return {"ScalableTargetARN": target.arn}

    def describe_scalable_targets(self, request: Json) -> Json:
        """DescribeScalableTargets by resource ID."""
        wanted = request.get("ResourceIds")
        found = [t for id_, t in sorted(self._scaling.targets.items()) if wanted is None or id_ in wanted]
        page, more = _paginate(found if _is_ecs(request) else [], request)
        return {"ScalableTargets": [_shape_target(target) for target in page], **more}

    def deregister_scalable_target(self, request: Json) -> Json:
        """DeregisterScalableTarget: "deletes the scaling policies and the scheduled actions that are associated"."""
        target = self._get(request)
        for policy in target.policies.values():
            self._scaling.unwatch(policy)
        del self._scaling.targets[target.resource_id]
        return {}

    # Policies

    def put_scaling_policy(self, request: Json) -> Json:
        """PutScalingPolicy: TargetTrackingScaling with its alarms, or StepScaling, whose alarms the user makes."""
        target = self._get(request)
        name = request["PolicyName"]
        known = target.policies.get(name)
        kind = request.get("PolicyType", "StepScaling" if known is None else known.kind)
        if kind not in _CONFIGURATIONS:
            raise _invalid(f"The simulator does not know policies of type {kind}.")
        if known is not None and known.kind != kind:
            raise _invalid("The type of a scaling policy cannot be changed.")
        configuration = request.get(_CONFIGURATIONS[kind])
        if configuration is None:
            raise _invalid(f"{_CONFIGURATIONS[kind]} is required for policies of type {kind}.")
        if kind == "StepScaling" and not ("AdjustmentType" in configuration and configuration.get("StepAdjustments")):
            raise _invalid("A step scaling policy needs AdjustmentType and at least one of StepAdjustments.")
        if kind == "TargetTrackingScaling" and configuration["TargetValue"] <= 0:
            raise _invalid("TargetValue must be above 0.")
        arn = (
            f"arn:aws:autoscaling:{self._region}:{self._account}:scalingPolicy:{self._identifiers.uuid()}:"
            f"resource/{NAMESPACE}/{target.resource_id}:policyName/{name}"
        )
        policy = known or Policy(name, arn, kind, configuration, self._clock.now())
        before, policy.configuration = policy.configuration, configuration
        try:
            self._scaling.watch(target, policy)
        except ValueError as error:
            policy.configuration = before
            raise _invalid(f"{error}.") from error
        target.policies[name] = policy
        return {"PolicyARN": policy.arn, "Alarms": self._shape_alarms(policy)}

    def describe_scaling_policies(self, request: Json) -> Json:
        """DescribeScalingPolicies by resource ID and name."""
        names = request.get("PolicyNames")
        found = [
            (target, policy)
            for id_, target in sorted(self._scaling.targets.items())
            for policy in target.policies.values()
            if _is_ecs(request)
            and request.get("ResourceId") in (None, id_)
            and (names is None or policy.name in names or policy.arn in names)
        ]
        page, more = _paginate(found, request)
        return {"ScalingPolicies": [self._shape_policy(target, policy) for target, policy in page], **more}

    def delete_scaling_policy(self, request: Json) -> Json:
        """DeleteScalingPolicy, with the alarms that were made for it."""
        target = self._get(request)
        policy = target.policies.pop(request["PolicyName"], None)
        if policy is None:
            raise AwsError("ObjectNotFoundException", f"No scaling policy found for {request['PolicyName']}.")
        self._scaling.unwatch(policy)
        return {}

    # Scheduled actions

    def put_scheduled_action(self, request: Json) -> Json:
        """PutScheduledAction: "If you don't specify start and end times, the old values are deleted"."""
        target = self._get(request)
        name, now = request["ScheduledActionName"], self._clock.now()
        known = target.actions.get(name)
        text = request.get("Schedule") or (known.text if known is not None else None)
        capacities = request.get("ScalableTargetAction") or (known.capacities if known is not None else None)
        if text is None or not capacities:
            raise _invalid("A new scheduled action needs Schedule and ScalableTargetAction.")
        timezone, start_at = request.get("Timezone", "UTC"), request.get("StartTime")
        try:
            schedule = parse_schedule(text, timezone, start_at or now, self._clock.speed)
        except ValueError as error:
            raise _invalid(f"Schedule is not valid: {error}.") from error
        arn = (
            f"arn:aws:autoscaling:{self._region}:{self._account}:scheduledAction:{self._identifiers.uuid()}:"
            f"resource/{NAMESPACE}/{target.resource_id}:scheduledActionName/{name}"
        )
        action = ScheduledAction(
            name=name,
            arn=arn if known is None else known.arn,
            text=text,
            timezone=timezone,
            schedule=schedule,
            capacities=capacities,
            created_at=now if known is None else known.created_at,
            start_at=start_at,
            end_at=request.get("EndTime"),
        )
        self._scaling.plan(action, now)
        target.actions[name] = action
        return {}

    def describe_scheduled_actions(self, request: Json) -> Json:
        """DescribeScheduledActions by resource ID and name."""
        names = request.get("ScheduledActionNames")
        found = [
            (target, action)
            for id_, target in sorted(self._scaling.targets.items())
            for action in target.actions.values()
            if _is_ecs(request)
            and request.get("ResourceId") in (None, id_)
            and (names is None or action.name in names or action.arn in names)
        ]
        page, more = _paginate(found, request)
        return {"ScheduledActions": [_shape_action(target, action) for target, action in page], **more}

    def delete_scheduled_action(self, request: Json) -> Json:
        """DeleteScheduledAction."""
        target = self._get(request)
        if target.actions.pop(request["ScheduledActionName"], None) is None:
            raise AwsError("ObjectNotFoundException", f"No scheduled action found: {request['ScheduledActionName']}.")
        return {}

    # Activities

    def describe_scaling_activities(self, request: Json) -> Json:
        """DescribeScalingActivities, newest first; those that did not scale only with IncludeNotScaledActivities."""
        self._scaling.review(self._clock.now())
        found = [
            activity
            for activity in self._scaling.activities
            if _is_ecs(request)
            and request.get("ResourceId") in (None, activity.resource_id)
            and (activity.not_scaled is None or request.get("IncludeNotScaledActivities", False))
        ]
        page, more = _paginate(found, request)
        return {"ScalingActivities": [_shape_activity(activity) for activity in page], **more}

    def _get(self, request: Json) -> ScalableTarget:
        """The scalable target of a request; ObjectNotFoundException when there is none."""
        _check_dimension(request)
        target = self._scaling.targets.get(request["ResourceId"])
        if target is None:
            raise AwsError(
                "ObjectNotFoundException",
                f"No scalable target registered for service namespace: {request['ServiceNamespace']}, resource ID: "
                f"{request['ResourceId']}, scalable dimension: {request['ScalableDimension']}",
            )
        return target

    def _shape_alarms(self, policy: Policy) -> list[Json]:
        prefix = f"arn:aws:cloudwatch:{self._region}:{self._account}:alarm:"
        return [{"AlarmName": name, "AlarmARN": prefix + name} for name in policy.alarm_names]

    def _shape_policy(self, target: ScalableTarget, policy: Policy) -> Json:
        return {
            **_shape_identity(target.resource_id),
            "PolicyARN": policy.arn,
            "PolicyName": policy.name,
            "PolicyType": policy.kind,
            _CONFIGURATIONS[policy.kind]: policy.configuration,
            "Alarms": self._shape_alarms(policy),
            "CreationTime": policy.created_at,
        }


def _is_ecs(request: Json) -> bool:
    return (request["ServiceNamespace"], request.get("ScalableDimension", DIMENSION)) == (NAMESPACE, DIMENSION)


def _check_dimension(request: Json) -> None:
    if not _is_ecs(request):
        raise _invalid(f"The simulator scales {DIMENSION} only.")


def _paginate(items: Sequence[Item], request: Json) -> tuple[list[Item], Json]:
    """One page, and NextToken when there is more."""
    size = request.get("MaxResults", MAX_PAGE)
    if not 1 <= size <= MAX_PAGE:
        raise _invalid(f"MaxResults must be between 1 and {MAX_PAGE}.")
    page, token = cut_page(items, request.get("NextToken"), size, "InvalidNextTokenException")
    return page, {} if token is None else {"NextToken": token}


def _only_present(members: Json) -> Json:
    return {name: value for name, value in members.items() if value is not None}


def _shape_identity(resource_id: str) -> Json:
    return {"ServiceNamespace": NAMESPACE, "ResourceId": resource_id, "ScalableDimension": DIMENSION}


def _shape_target(target: ScalableTarget) -> Json:
    return {
        **_shape_identity(target.resource_id),
        "MinCapacity": target.min_capacity,
        "MaxCapacity": target.max_capacity,
        "RoleARN": target.role_arn,
        "CreationTime": target.created_at,
        "SuspendedState": {
            "DynamicScalingInSuspended": target.suspended.scale_in,
            "DynamicScalingOutSuspended": target.suspended.scale_out,
            "ScheduledScalingSuspended": target.suspended.scheduled,
        },
        "ScalableTargetARN": target.arn,
    }


def _shape_action(target: ScalableTarget, action: ScheduledAction) -> Json:
    return _only_present(
        {
            **_shape_identity(target.resource_id),
            "ScheduledActionName": action.name,
            "ScheduledActionARN": action.arn,
            "Schedule": action.text,
            "Timezone": action.timezone,
            "StartTime": action.start_at,
            "EndTime": action.end_at,
            "ScalableTargetAction": action.capacities,
            "CreationTime": action.created_at,
        }
    )


def _shape_activity(activity: Activity) -> Json:
    return _only_present(
        {
            **_shape_identity(activity.resource_id),
            "ActivityId": activity.id,
            "Description": activity.description,
            "Cause": activity.cause,
            "StartTime": activity.started_at,
            "EndTime": activity.ended_at,
            "StatusCode": activity.status,
            "StatusMessage": activity.message,
            "NotScaledReasons": None if activity.not_scaled is None else [activity.not_scaled],
        }
    )
