"""Checks of `bokgu doctor`: pure functions from what was gathered to outcomes, one module a concern."""
