{{/* What is mounted: a dict of NAME to the name of its Secret, under /etc/hmar/NAME. Whole folders, never a subPath: a renewed
     Secret arrives only so, and the server reads it again by itself. */}}
{{- define "hmar.secrets" -}}
{{- if .Values.tls.enabled }}
tls: {{ .Values.tls.secretName | quote }}
{{- with .Values.tls.clientCaSecretName }}
client-ca: {{ . | quote }}
{{- end }}
{{- with .Values.tls.probeSecretName }}
probe: {{ . | quote }}
{{- end }}
{{- end }}
{{- with .Values.keys.secretName }}
keys: {{ . | quote }}
{{- end }}
{{- with .Values.metrics.htpasswdSecretName }}
metrics: {{ . | quote }}
{{- end }}
{{- end }}

{{/* The models' volume without its name; nothing where they are all in the image. */}}
{{- define "hmar.modelVolume" -}}
{{- with .Values.modelVolume -}}
{{- if .persistentVolumeClaim -}}
persistentVolumeClaim: {claimName: {{ .persistentVolumeClaim | quote }}, readOnly: true}
{{- else if .image -}}
image: {reference: {{ .image | quote }}, pullPolicy: IfNotPresent}
{{- else if .init.image -}}
emptyDir: {sizeLimit: {{ .init.size | quote }}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "hmar.volumes" -}}
{{- range $name, $secret := include "hmar.secrets" . | fromYaml }}
- name: {{ $name }}
  secret: {secretName: {{ $secret | quote }}, defaultMode: 0440}
{{- end }}
{{- with include "hmar.modelVolume" . }}
- name: models
  {{- . | nindent 2 }}
{{- end }}
{{- if eq .Values.device "cuda" }}
- name: cuda-cache
  emptyDir: {sizeLimit: 1Gi}
{{- end }}
{{- end }}

{{- define "hmar.volumeMounts" -}}
{{- range $name, $_ := include "hmar.secrets" . | fromYaml }}
- {name: {{ $name }}, mountPath: /etc/hmar/{{ $name }}, readOnly: true}
{{- end }}
{{- if include "hmar.modelVolume" . }}
- {name: models, mountPath: {{ .Values.modelVolume.mountPath | quote }}, readOnly: true}
{{- end }}
{{- if eq .Values.device "cuda" }}
- {name: cuda-cache, mountPath: /var/cache/hmar}
{{- end }}
{{- end }}

{{/* Of every container. */}}
{{- define "hmar.securityContext" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Of every pod. The group reads the Secrets. */}}
{{- define "hmar.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}
