"""A real Kubernetes on one Linux machine, for tests and for trying Berth: real pods without a container engine.

`python -m deploy.testcluster build|up|down|status` is the command; tests take the fixtures of
`tests/clusters/kubernetes`. Both go through `deploy.testcluster.cluster.Cluster`. The standard library alone is used,
so that any Python 3.11 starts it. docs/testcluster.md says what is in it and what it is not.
"""
