"""One module a kind: gather facts, let `core` decide, apply. The only place where both sides meet.

A pass reads the store, reads live what it is about to act on, and ends in at most one status PUT of its object.
"""
