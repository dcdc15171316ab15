{{/* Names and labels. */}}
{{- define "hmar.name" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 54 | trimSuffix "-" -}}
{{- end }}

{{- define "hmar.selector" -}}
app.kubernetes.io/name: hmar-server
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "hmar.labels" -}}
{{ include "hmar.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "hmar.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{ .Values.image.repository }}{{ if not (hasPrefix "@" $tag) }}:{{ end }}{{ $tag }}
{{- end }}

{{/* The GPUs of one replica: whatever of NVIDIA's is in its limits, MIG and shared ones, too. */}}
{{- define "hmar.gpus" -}}
{{- $gpus := 0 -}}
{{- range $resource, $count := .Values.resources.limits | default dict -}}
{{- if hasPrefix "nvidia.com/" $resource -}}{{- $gpus = add $gpus (int $count) -}}{{- end -}}
{{- end -}}
{{- $gpus -}}
{{- end }}

{{/* Seconds that the server takes at most from its SIGTERM to its end, beside what it is given for requests: its exit guard's. */}}
{{- define "hmar.lastSeconds" -}}10{{- end }}

{{- define "hmar.drainSeconds" -}}
{{- with .Values.drain -}}
{{- add (int .preStopSeconds) (int .delaySeconds) (int .seconds) (include "hmar.lastSeconds" $ | int) -}}
{{- end -}}
{{- end }}

{{- define "hmar.gracePeriodSeconds" -}}
{{- if kindIs "invalid" .Values.drain.gracePeriodSeconds -}}{{ add (include "hmar.drainSeconds" . | int) 5 }}
{{- else -}}{{ int .Values.drain.gracePeriodSeconds }}{{- end -}}
{{- end }}

{{/* A name that the certificate has. */}}
{{- define "hmar.serverName" -}}
{{- .Values.tls.serverName | default (printf "%s.%s.svc" (include "hmar.name" .) .Release.Namespace) -}}
{{- end }}

{{/* How the command line client reaches a server: a line for each argument. (list $ HOST:PORT) */}}
{{- define "hmar.client" -}}
{{- $tls := (index . 0).Values.tls -}}
- /usr/bin/hmar
- --server={{ index . 1 }}
{{- if $tls.enabled }}
- --tls
{{- /* The very certificate that the server is to show, whoever issued it: that authority need not be known here. */}}
- --ca=/etc/hmar/tls/tls.crt
{{- if $tls.clientCaSecretName }}
- --cert=/etc/hmar/probe/tls.crt
- --key=/etc/hmar/probe/tls.key
{{- end }}
{{- end }}
- health
{{- end }}

{{/* Kubernetes' own gRPC probe speaks no TLS. (list $ SERVICE) */}}
{{- define "hmar.probe" -}}
{{- $root := index . 0 -}}
{{- if $root.Values.tls.enabled -}}
exec:
  command:
    {{- include "hmar.client" (list $root (printf "%s:50051" (include "hmar.serverName" $root))) | nindent 4 }}
    - --service
    - {{ index . 1 | quote }}
{{- else -}}
grpc: {port: 50051, service: {{ index . 1 | quote }}}
{{- end }}
{{- end }}
