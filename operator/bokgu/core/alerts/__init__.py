"""Alerts: what people are told, who is told, in which words, and what waits for whom."""
