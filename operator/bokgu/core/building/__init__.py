"""Steps of a runbook made concrete: with the numbers, revisions and windows of one service. One module an action."""
