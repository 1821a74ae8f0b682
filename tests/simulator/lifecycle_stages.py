"""The lifecycle stages of a service deployment, by strategy, and the hooks that run at them."""

import math
from dataclasses import dataclass

from .aws_json import Json
from .errors import AwsError

SHIFT_SECONDS = 5.0
"""Simulated seconds a traffic shift takes before its bake time counts. AWS gives no figure."""
DEFAULT_ALARM_BAKE_SECONDS = 180.0
"""Bake time of a rolling deployment with alarms that sets none. "The default bake time is less than 5 minutes"."""
DEFAULT_HOOK_TIMEOUT_MINUTES = 1440
"""API type DeploymentLifecycleHookTimeoutConfiguration: "Default: 1440 (24 hours)"."""

# API types LinearConfiguration and CanaryConfiguration.
DEFAULT_STEP_PERCENT = 10.0
DEFAULT_STEP_BAKE_MINUTES = 6
DEFAULT_CANARY_PERCENT = 5.0
DEFAULT_CANARY_BAKE_MINUTES = 10

PAUSE_STAGES = frozenset(
    {
        "RECONCILE_SERVICE",
        "PRE_SCALE_UP",
        "POST_SCALE_UP",
        "POST_TEST_TRAFFIC_SHIFT",
        "PRE_PRODUCTION_TRAFFIC_SHIFT",
        "POST_PRODUCTION_TRAFFIC_SHIFT",
    }
)
"""Where a PAUSE hook may stand (developer guide, "Pause hooks for Amazon ECS service deployments")."""
UNSCALED_STAGES = frozenset({"RECONCILE_SERVICE", "PRE_SCALE_UP"})
"""Stages in which the new service revision has no tasks yet."""


@dataclass(frozen=True)
class Stage:
    """A stage and what entering it does: shares (0 to 1) of traffic moved to the target revision, None: as before.

    `seconds` are the simulated seconds it lasts at least.
    """

    name: str
    seconds: float = 0.0
    test_share: float | None = None
    production_share: float | None = None


def build_stages(configuration: Json, source_count: int, *, watches_alarms: bool = False) -> list[Stage]:
    """The stages that a service deployment with this DeploymentConfiguration goes through, in order.

    `source_count`: how many service revisions are ACTIVE at its start. With more than one it begins with
    RECONCILE_SERVICE; with none there is no traffic to shift step by step and nothing to bake next to.
    """
    stages = [Stage("RECONCILE_SERVICE")] if source_count > 1 else []
    stages += [Stage("PRE_SCALE_UP"), Stage("SCALE_UP"), Stage("POST_SCALE_UP")]
    bake_minutes = configuration.get("bakeTimeInMinutes")
    if configuration.get("strategy", "ROLLING") == "ROLLING":
        bake = DEFAULT_ALARM_BAKE_SECONDS if bake_minutes is None and watches_alarms else 60.0 * (bake_minutes or 0)
        return [*stages, Stage("BAKE_TIME", bake)] if bake else stages
    stages.append(Stage("TEST_TRAFFIC_SHIFT", SHIFT_SECONDS, test_share=1.0))
    stages.append(Stage("POST_TEST_TRAFFIC_SHIFT"))
    for percent, bake in _build_steps(configuration) if source_count else [(100.0, 0.0)]:
        stages.append(Stage("PRE_PRODUCTION_TRAFFIC_SHIFT"))
        stages.append(Stage("PRODUCTION_TRAFFIC_SHIFT", SHIFT_SECONDS + bake, production_share=percent / 100))
    stages.append(Stage("POST_PRODUCTION_TRAFFIC_SHIFT", test_share=0.0))
    if source_count:
        stages.append(Stage("BAKE_TIME", 60.0 * (bake_minutes or 0)))
    return [*stages, Stage("CLEAN_UP")]


def build_rollback_stages(configuration: Json) -> list[Stage]:
    """The stages of a rollback: the old revision at full size, all traffic on it, the new one gone.

    The guide runs Lambda hooks of TEST_TRAFFIC_SHIFT and PRODUCTION_TRAFFIC_SHIFT again here; the simulator does not.
    """
    if configuration.get("strategy", "ROLLING") == "ROLLING":
        return [Stage("SCALE_UP")]
    shift = Stage("PRODUCTION_TRAFFIC_SHIFT", SHIFT_SECONDS, test_share=0.0, production_share=0.0)
    return [Stage("SCALE_UP"), shift, Stage("CLEAN_UP")]


def _build_steps(configuration: Json) -> list[tuple[float, float]]:
    """Percent of production traffic after each step, and the simulated seconds to wait before the next one.

    The wait "is not applied after reaching 100 percent traffic" (LinearConfiguration).
    """
    if configuration["strategy"] == "LINEAR":
        linear = configuration.get("linearConfiguration", {})
        step = linear.get("stepPercent", DEFAULT_STEP_PERCENT)
        bake = 60.0 * linear.get("stepBakeTimeInMinutes", DEFAULT_STEP_BAKE_MINUTES)
        count = math.ceil(round(100 / step, 6))
        return [(min(100.0, step * number), bake) for number in range(1, count)] + [(100.0, 0.0)]
    if configuration["strategy"] == "CANARY":
        canary = configuration.get("canaryConfiguration", {})
        bake = 60.0 * canary.get("canaryBakeTimeInMinutes", DEFAULT_CANARY_BAKE_MINUTES)
        return [(canary.get("canaryPercent", DEFAULT_CANARY_PERCENT), bake), (100.0, 0.0)]
    return [(100.0, 0.0)]


def check_deployment_configuration(configuration: Json, workload: Json) -> None:
    """InvalidParameterException for what AWS refuses in a DeploymentConfiguration; `workload` has the load balancers.

    Wording, where known: developer guide, "Troubleshooting Amazon ECS blue/green deployments".
    """
    strategy = configuration.get("strategy", "ROLLING")
    balancers = workload.get("loadBalancers", [])
    advanced = [balancer for balancer in balancers if "advancedConfiguration" in balancer]
    if strategy != "ROLLING" and len(advanced) < len(balancers):
        raise _invalid(
            "advancedConfiguration field is required for all loadBalancers when using a non-ROLLING deployment strategy"
        )
    if 0 < len(advanced) < len(balancers):
        raise _invalid("Either all or none of the provided loadBalancers must have advancedConfiguration defined")
    if strategy == "BLUE_GREEN" and "bakeTimeInMinutes" not in configuration:
        raise _invalid("bakeTimeInMinutes is required when using the BLUE_GREEN deployment strategy.")
    for member, wanted in (("linearConfiguration", "LINEAR"), ("canaryConfiguration", "CANARY")):
        if member in configuration and strategy != wanted:
            raise _invalid(f"{member} is only valid when the deployment strategy is {wanted}.")
    _check_range(configuration, "bakeTimeInMinutes", 0, 1440)
    _check_range(configuration.get("linearConfiguration", {}), "stepPercent", 3.0, 100.0)
    _check_range(configuration.get("linearConfiguration", {}), "stepBakeTimeInMinutes", 0, 1440)
    _check_range(configuration.get("canaryConfiguration", {}), "canaryPercent", 0.1, 100.0)
    _check_range(configuration.get("canaryConfiguration", {}), "canaryBakeTimeInMinutes", 0, 1440)
    threshold = configuration.get("deploymentCircuitBreaker", {}).get("thresholdConfiguration", {})
    _check_range(threshold, "value", 1, math.inf)
    _check_early_success(configuration, strategy)
    for hook in configuration.get("lifecycleHooks", []):
        _check_hook(hook)


def _check_early_success(configuration: Json, strategy: str) -> None:
    criteria = configuration.get("earlySuccessCriteria", {})
    if not criteria.get("enable"):
        return
    if strategy != "ROLLING":
        raise _invalid("earlySuccessCriteria can only be used with the ROLLING deployment strategy.")
    if "healthyPercent" not in criteria or "sourceServiceRevisionCleanup" not in criteria:
        raise _invalid("earlySuccessCriteria must specify healthyPercent and sourceServiceRevisionCleanup.")
    if criteria["healthyPercent"] < configuration["minimumHealthyPercent"]:
        raise _invalid("healthyPercent must be greater than or equal to minimumHealthyPercent.")


def _check_hook(hook: Json) -> None:
    kind = hook.get("targetType", "AWS_LAMBDA")
    if kind not in ("AWS_LAMBDA", "PAUSE"):
        raise _invalid("Invalid targetType. Valid values are: AWS_LAMBDA, PAUSE")
    if kind == "PAUSE" and not PAUSE_STAGES.issuperset(hook.get("lifecycleStages", [])):
        raise _invalid("Invalid lifecycle stage provided for Pause Hook")
    if kind == "AWS_LAMBDA" and "hookTargetArn" not in hook:
        raise _invalid("hookTargetArn is required for AWS_LAMBDA lifecycle hooks.")
    _check_range(hook.get("timeoutConfiguration", {}), "timeoutInMinutes", 1, 20_160)


def _check_range(members: Json, name: str, least: float, most: float) -> None:
    if name in members and not least <= members[name] <= most:
        raise _invalid(f"{name} must be between {least} and {most}.")


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)
