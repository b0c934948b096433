"""The operator as a process of its own, on a real API server and a simulated remote API."""
