"""A real Kubernetes control plane for tests, the demo and the benchmarks.

The pinned etcd, kube-apiserver, kube-controller-manager and kubectl are built from their Go modules once per machine,
started on the loopback interface in one temporary folder, and gone afterwards however the Python process ends.
"""
