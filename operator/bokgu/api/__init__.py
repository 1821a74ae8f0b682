"""The kinds of `bokgu.dev/v1alpha1`, one pydantic model each, and the facts that AWS reports.

Everything else in the package may import this; it imports nothing else of the package.
"""
