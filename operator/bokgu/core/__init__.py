"""What Bokgu thinks: pure functions from facts to decisions.

No I/O, no clock, no randomness: the caller passes the time and everything else in. One module a stage, in the order of
the pipeline: detection, diagnosis, classification, planning, approval, guards, execution, verification.
"""
