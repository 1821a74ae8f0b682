"""A simulator of what AWS is to Bokgu, on the loopback interface, for tests, the demo and benchmarks.

Real AWS clients reach it through their endpoint URL. ECS, its scaling, its load balancers, metrics, alarms, events,
queues, logs and identities are engines of our own, because their behaviour over time (deployments that converge,
metrics that follow a service's health) is what Bokgu works on; any other AWS service is answered by moto inside the
same process. README.md says how to use it.
"""
