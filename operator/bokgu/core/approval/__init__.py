"""Approval: what a plan's digest is, which approvals of it count, and what they come to (S1, S8)."""
