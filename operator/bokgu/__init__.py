"""Bokgu (복구, "recovery"): a Kubernetes operator that recovers incidents on Amazon ECS."""

__version__ = "0.1.0"
