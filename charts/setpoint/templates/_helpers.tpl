{{- define "setpoint.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "setpoint.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "setpoint.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "setpoint.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "setpoint.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "setpoint.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed where serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "setpoint.selectorLabels" -}}
app.kubernetes.io/name: {{ include "setpoint.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "setpoint.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "setpoint.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: setpoint
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "setpoint.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "setpoint.managed" -}}
[deploymentautoscalings, chainautoscalings, modelconfiggovernances]
{{- end }}

{{/* Where a ClusterConnection's Secret is, if the reference leaves it open. */}}
{{- define "setpoint.secretRef" -}}
{{- $ref := deepCopy .ref }}
{{- if not $ref.namespace }}{{ $_ := set $ref "namespace" .root.Release.Namespace }}{{ end }}
{{- toYaml $ref }}
{{- end }}

{{/*
A ClusterConnection in the release that installs its CRD cannot be an ordinary object of it: Helm wants to know all kinds
beforehand. So the first time it is made by a hook, with the marks by which the next upgrade takes it over.
*/}}
{{- define "setpoint.connectionMetadata" -}}
name: {{ .name }}
labels:
  {{- include "setpoint.labels" .root | nindent 2 }}
{{- if not (.root.Capabilities.APIVersions.Has "setpoint.dev/v1alpha1/ClusterConnection") }}
annotations:
  meta.helm.sh/release-name: {{ .root.Release.Name }}
  meta.helm.sh/release-namespace: {{ .root.Release.Namespace }}
  helm.sh/hook: post-install,post-upgrade
{{- end }}
{{- end }}

{{/*
The egress rule for a URL. Of a Service the namespace is known, but not the ports of its pods, which are what counts; a name of
the world may lead to any address of the world, but not to a private one.
*/}}
{{- define "setpoint.egress" -}}
{{- $url := urlParse . }}
{{- $host := $url.hostname }}
{{- $port := default (ternary "80" "443" (eq $url.scheme "http")) (regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host)) }}
{{- $service := regexFind "\\.[^.]+\\.svc(\\.cluster\\.local)?$" $host }}
- to:
    {{- if $service }}
    - namespaceSelector:
        matchLabels: {kubernetes.io/metadata.name: {{ index (splitList "." $service) 1 }}}
    {{- else if regexMatch "^[0-9.]+$" $host }}
    - ipBlock: {cidr: {{ $host }}/32}
    {{- else if contains ":" $host }}
    - ipBlock: {cidr: "{{ $host | trimPrefix "[" | trimSuffix "]" }}/128"}
    {{- else }}
    - ipBlock:
        cidr: 0.0.0.0/0
        except: [0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 168.63.129.16/32, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16]
    - ipBlock:
        cidr: "::/0"
        except: ["::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "fc00::/7", "fe80::/10"]
    {{- end }}
  {{- if not $service }}
  ports:
    - {port: {{ $port }}, protocol: TCP}
  {{- end }}
{{- end }}
