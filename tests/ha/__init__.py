"""Several replicas of the operator: who leads, who takes over, and that nothing is done twice meanwhile."""
