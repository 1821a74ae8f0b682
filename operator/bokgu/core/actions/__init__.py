"""The actions: what each asks of AWS, and what takes it back. Pure; `core.writes` says what became of it."""
