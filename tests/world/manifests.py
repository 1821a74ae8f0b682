"""The objects of the story: one service of an online shop, watched closely."""

from typing import Any

NAMESPACE = "shop"
REGION = "us-east-1"
CLUSTER = "shop"
SERVICE = "api"
TARGET_GROUP = "targetgroup/api/73e2d6bc24d8a067"
LOAD_BALANCER = "app/api/73e2d6bc24d8a067"
TARGET_GROUP_ARN = f"arn:aws:elasticloadbalancing:{REGION}:123456789012:{TARGET_GROUP}"

NORMAL_LOAD = 300.0
"""Requests a second that three tasks serve at 71 % of their capacity."""
SURGE_LOAD = 600.0
"""Twice that: three tasks fail 37 % of it, five serve it."""
TASK_CAPACITY = 140


IN_PEACE = {"cooldown": "0s", "cooldownAfterFailure": "0s", "maxRecoveriesPerHour": 32}
"""Limits of a service that is recovered again and again."""


def roomy_policy(namespace: str = NAMESPACE, **spec: Any) -> dict[str, Any]:
    """A RecoveryPolicy that lets many services of a namespace be recovered side by side, and fail."""
    room = {
        "budget": {"maxConcurrent": 1000, "maxUnavailablePercent": 100},
        "storm": {"threshold": 10000},
        "breaker": {"failures": 32, "namespaceFailures": 32, "within": "1s"},
    }
    metadata = {"name": "default", "namespace": namespace}
    return {
        "apiVersion": "bokgu.dev/v1alpha1",
        "kind": "RecoveryPolicy",
        "metadata": metadata,
        "spec": {**room, **spec},
    }


def protected_service(service: str = SERVICE, **spec: Any) -> dict[str, Any]:
    """A ProtectedService that may scale out and roll back after approval."""
    return {
        "apiVersion": "bokgu.dev/v1alpha1",
        "kind": "ProtectedService",
        "metadata": {"name": service, "namespace": NAMESPACE},
        "spec": {
            "environment": "production",
            "region": REGION,
            "ecs": {"cluster": CLUSTER, "service": service},
            "mode": "Approve",
            "allowedActions": ["scale_out", "rollback_to_previous_version"],
            "limits": {"maxDesiredCount": 10, "scaleStepPercent": 50, **IN_PEACE},
            "rollback": {"maxAge": "72h", "minServed": "5s"},
            "detection": {"relapseWatch": "2s", "period": "1s"},
            **spec,
        },
    }


def detector(service: str = SERVICE, **spec: Any) -> dict[str, Any]:
    """A Detector of the share of failed requests, at the pace of the simulated world: a minute takes a second."""
    dimensions = [
        {"name": "LoadBalancer", "value": LOAD_BALANCER.replace("/api/", f"/{service}/")},
        {"name": "TargetGroup", "value": TARGET_GROUP.replace("/api/", f"/{service}/")},
    ]

    def query(name: str, metric: str) -> dict[str, Any]:
        return {
            "name": name,
            "namespace": "AWS/ApplicationELB",
            "metricName": metric,
            "dimensions": dimensions,
            "stat": "Sum",
            "period": "1s",
        }

    return {
        "apiVersion": "bokgu.dev/v1alpha1",
        "kind": "Detector",
        "metadata": {"name": f"{service}-errors", "namespace": NAMESPACE},
        "spec": {
            "serviceRef": {"name": service},
            "interval": "1s",
            "settle": "1s",
            "queries": [query("errors", "HTTPCode_Target_5XX_Count"), query("requests", "RequestCount")],
            "conditions": [
                {
                    "name": "error_rate",
                    "type": "high_error_rate",
                    "ratio": {"numerator": "errors", "denominator": "requests", "minDenominator": "100"},
                    "thresholds": {"medium": "0.05", "high": "0.1", "critical": "0.3"},
                    "evaluationPeriods": 3,
                    "datapointsToAlarm": 2,
                    "clearAfter": "5s",
                }
            ],
            **spec,
        },
    }


def incident(name: str, service: str = SERVICE, **spec: Any) -> dict[str, Any]:
    """An Incident filed by hand."""
    return {
        "apiVersion": "bokgu.dev/v1alpha1",
        "kind": "Incident",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"type": "high_error_rate", "severity": "high", "serviceRef": {"name": service}, **spec},
    }


def approver_bindings(person: str, role: str, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
    """Let a person create approvals in the namespace, and approve as a role."""
    roles = ("bokgu-approver", f"bokgu-approver-{role.replace('_', '-')}")
    return [_binding(person, cluster_role, namespace) for cluster_role in roles]


def _binding(person: str, cluster_role: str, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"{person.partition('@')[0]}-{cluster_role}", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": cluster_role},
        "subjects": [{"kind": "User", "name": person, "apiGroup": "rbac.authorization.k8s.io"}],
    }


APPLY_SET = "approvals"
"""The ConfigMap that kubectl remembers by what was applied from Git, to prune what is no longer there (KEP-3659)."""

GITOPS_ACCOUNT: list[dict[str, Any]] = [
    {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "gitops", "namespace": NAMESPACE},
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "gitops", "namespace": NAMESPACE},
        "rules": [
            {
                "apiGroups": ["bokgu.dev"],
                "resources": ["planapprovals", "protectedservices", "detectors", "runbooks", "recoverypolicies"],
                "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"],
            },
            {
                "apiGroups": [""],
                "resources": ["configmaps"],
                "resourceNames": [APPLY_SET],
                "verbs": ["get", "create", "patch"],
            },
        ],
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "gitops", "namespace": NAMESPACE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "gitops"},
        "subjects": [{"kind": "ServiceAccount", "name": "gitops", "namespace": NAMESPACE}],
    },
]
"""The account that applies what is in Git: it may write approvals, and holds no role."""
