"""The writes to AWS: how the effect of each is recognised, when it is complete, and what has changed since.

A stored intent is judged by its request alone, so that an operator that knows nothing of the step can follow it.
"""
