-- Health of a resource of Setpoint for Argo CD, in the order kstatus decides, so that both say the same.
local hs = {}
local status = obj.status or {}

if obj.metadata.deletionTimestamp ~= nil then
  hs.status = "Progressing"
  hs.message = "Being deleted"
  return hs
end

if status.observedGeneration ~= obj.metadata.generation then
  hs.status = "Progressing"
  hs.message = "Waiting for Setpoint to look at this generation"
  return hs
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function is(kind)
  return conditions[kind] ~= nil and conditions[kind].status == "True"
end

local function told(condition)
  return condition.reason .. ": " .. condition.message
end

if is("Stalled") then
  hs.status = "Degraded"
  hs.message = told(conditions.Stalled)
elseif obj.spec.suspend == true or is("Suspended") then
  hs.status = "Suspended"
  hs.message = "spec.suspend is true: nothing is read or written"
elseif is("Reconciling") then
  hs.status = "Progressing"
  hs.message = told(conditions.Reconciling)
elseif is("Ready") then
  hs.status = "Healthy"
  hs.message = told(conditions.Ready)
elseif conditions.Ready ~= nil then
  hs.status = "Progressing"
  hs.message = told(conditions.Ready)
else
  hs.status = "Progressing"
  hs.message = "Waiting for a Ready condition"
end
if is("Contested") then
  hs.message = hs.message .. "; " .. told(conditions.Contested)
end
return hs
