"""The gates before every AWS write (S6), in the order that a person would ask. All are asked, none raises.

A guard that cannot tell blocks. A changed precondition is no gate: it ends the plan (core.preconditions, S4).
"""
