"""Traces, sent to an OpenTelemetry collector. `otlp` alone knows OpenTelemetry's SDK."""
