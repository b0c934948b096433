"""The Kubernetes side: the only place with kopf, the Kubernetes client and the operator's HTTP endpoints."""
