"""Berth on a Kubernetes, measured beside what the cluster itself takes; `make bench-kubernetes`.

Everything is measured on the test cluster (docs/testcluster.md), whose API server writes down each call of Berth's.
"""
