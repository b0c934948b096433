"""A simulator of Baseten's management API, as far as it is about autoscaling settings."""
