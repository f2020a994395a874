"""Against a real Kubernetes: the test cluster of deploy/testcluster."""
