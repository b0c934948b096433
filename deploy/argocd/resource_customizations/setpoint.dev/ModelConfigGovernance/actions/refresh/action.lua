-- Asks for a look at the remote now; the answer is in status.lastHandledReconcileAt.
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["reconcile.setpoint.dev/requestedAt"] = os.date("!%Y-%m-%dT%XZ")
return obj
