"""The Helm chart: rendered, judged, installed. Helm is built once from a pinned Go module."""
