"""What Prometheus scrapes, by what it measures. docs/metrics.md lists it.

Names follow Prometheus's rules (prometheus.io/docs/practices/naming): base units, `_total`, and labels whose values are
few. What is true at a moment is not counted up and down here: `runtime.state_metrics` reads it from the objects at each
scrape, so that it holds after a restart.
"""
