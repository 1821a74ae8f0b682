"""A whole world to try the operator in: the control plane, the AWS simulator, people with keys, and the operator itself
as its own process under its own account."""
