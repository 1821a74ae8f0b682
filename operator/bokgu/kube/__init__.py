"""Thin gateway to the Kubernetes API: raw objects in and out. Nothing is decided here."""
