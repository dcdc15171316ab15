{{/* One option: (list NAME VALUE). Numbers of values are floats by now, and YAML reads on and off as booleans. */}}
{{- define "hmar.option" -}}
{{- $name := index . 0 -}}{{- $value := index . 1 -}}
{{- if eq $name "access-log" }}
- --{{ if not $value }}no-{{ end }}access-log
{{- else if eq $name "trust-forwarded-for" }}
{{- if $value }}
- --trust-forwarded-for
{{- end }}
{{- else if kindIs "bool" $value }}
- --{{ $name }}={{ ternary "on" "off" $value }}
{{- else if kindIs "string" $value }}
- {{ printf "--%s=%s" $name $value | quote }}
{{- else }}
- --{{ $name }}={{ int64 $value }}
{{- end }}
{{- end }}

{{- define "hmar.devices" -}}
{{- if eq .Values.device "cpu" -}}cpu{{- else -}}
{{- range $index := untilStep 0 (include "hmar.gpus" . | int) 1 -}}{{ if $index }},{{ end }}cuda:{{ $index }}{{- end -}}
{{- end -}}
{{- end }}

{{/* The server's command line, a line for each option. */}}
{{- define "hmar.arguments" -}}
{{- range .Values.models }}
- --model={{ .name }}={{ .path }}
{{- $name := .name }}
{{- with .architecture }}
- --architecture={{ $name }}={{ . }}
{{- end }}
{{- with .precision }}
- --precision={{ $name }}={{ . }}
{{- end }}
{{- end }}
- --device={{ include "hmar.devices" . }}
- --listen={{ .Values.listenAddress }}:50051
{{- if .Values.http.enabled }}
- --http={{ .Values.listenAddress }}:8080
{{- end }}
{{- if .Values.metrics.enabled }}
- --metrics={{ .Values.listenAddress }}:9090
{{- if .Values.metrics.htpasswdSecretName }}
- --metrics-basic-auth=/etc/hmar/metrics/htpasswd
{{- end }}
{{- end }}
{{- if .Values.tls.enabled }}
- --tls-cert=/etc/hmar/tls/tls.crt
- --tls-key=/etc/hmar/tls/tls.key
{{- if .Values.tls.clientCaSecretName }}
- --tls-client-ca=/etc/hmar/client-ca/ca.crt
{{- end }}
{{- end }}
{{- if .Values.keys.secretName }}
- --keys=/etc/hmar/keys/{{ .Values.keys.key }}
{{- end }}
- --load-seconds={{ int .Values.startup.loadSeconds }}
- --probe-seconds={{ int .Values.startup.probeSeconds }}
- --drain-delay-seconds={{ int .Values.drain.delaySeconds }}
- --drain-seconds={{ int .Values.drain.seconds }}
{{- range $name, $value := .Values.options }}
{{- include "hmar.option" (list $name $value) }}
{{- end }}
{{- end }}
