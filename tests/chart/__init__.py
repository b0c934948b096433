"""The Helm chart and the manifests of deploy/, held against each other, against their tools and against a real API server."""
