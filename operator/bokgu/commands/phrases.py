"""Facts in words, the same in every command."""

AT_FAULT = {True: "a new revision at fault", False: "no new revision at fault", None: "a new revision, or not"}
"""`newRevisionAtFault` of a classification."""
