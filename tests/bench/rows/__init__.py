"""The rows of the table: one module each, whose `measure` makes one run."""
