"""Named failures, each a small file: the world it begins in, what happens, and what must come of it."""
