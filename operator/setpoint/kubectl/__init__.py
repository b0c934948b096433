"""`kubectl setpoint`: what people ask the cluster about Setpoint's resources, in fewer words than plain kubectl needs."""
