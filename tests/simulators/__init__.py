"""Simulators of the remote APIs: processes of their own, reached over real sockets."""
