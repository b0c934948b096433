"""What GitOps tools make of the resources: kstatus, Argo CD's health, and who owns which field."""
