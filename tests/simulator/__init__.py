"""A simulator of Amazon ECS and CloudWatch on the loopback interface, for tests, the demo and benchmarks.

Real boto3 clients reach it through `endpoint_url`. ECS and CloudWatch are engines of our own, because their
behaviour over time (deployments that converge, metrics that follow a service's health) is what Bokgu works on;
any other AWS service is answered by moto inside the same process.
"""
