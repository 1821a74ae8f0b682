"""Input that nobody has thought of, for parsers, the API server and the webhook. docs/fuzzing.md says what holds."""
