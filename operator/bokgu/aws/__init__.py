"""Thin gateways to AWS: calls in, facts of `bokgu.api.observed` out. Nothing is decided here."""
