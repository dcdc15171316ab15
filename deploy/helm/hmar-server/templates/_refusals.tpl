{{/* What values may not say together. All that is wrong is told at once, a sentence each; what one value alone may be stands in
     values.schema.json. */}}
{{- define "hmar.refuse" -}}
{{- $sentences := include "hmar.refusals" . | trim -}}
{{- if $sentences -}}{{- fail (printf "\nvalues of %s do not fit:\n%s\n" .Release.Name $sentences) -}}{{- end -}}
{{- end }}

{{- define "hmar.refusals" -}}
{{- range $part := list "size" "devices" "models" "network" "tls" "watching" -}}
{{- include (printf "hmar.refusals.%s" $part) $ -}}
{{- end -}}
{{- end }}

{{- define "hmar.refusals.size" -}}
{{- $scaling := .Values.autoscaling -}}
{{- $drain := include "hmar.drainSeconds" . | int -}}
{{- $grace := include "hmar.gracePeriodSeconds" . | int -}}
{{- if lt $grace $drain }}
- drain.gracePeriodSeconds is {{ $grace }}, and preStopSeconds, delaySeconds, seconds and the {{ include "hmar.lastSeconds" . }} s in which
  the server ends add up to {{ $drain }}: accepted requests would be killed; leave it empty, or drain for less.
{{- end }}
{{- if and $scaling.hpa $scaling.keda }}
- autoscaling.hpa and autoscaling.keda are both on: each would undo what the other does; choose one.
{{- end }}
{{- if and (or $scaling.hpa $scaling.keda) (not (kindIs "invalid" .Values.replicas)) }}
- replicas is {{ .Values.replicas }} while autoscaling is on: each upgrade would undo what it has done; leave replicas empty, and say
  autoscaling.minReplicas.
{{- end }}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) }}
- autoscaling.minReplicas is {{ $scaling.minReplicas }}, more than its maxReplicas, {{ $scaling.maxReplicas }}.
{{- end }}
{{- if and $scaling.keda (not $scaling.prometheusAddress) }}
- autoscaling.keda asks Prometheus, and autoscaling.prometheusAddress does not say where that is.
{{- end }}
{{- with .Values.rollingUpdate }}
{{- if and (has (toString .maxSurge) (list "0" "0%")) (has (toString .maxUnavailable) (list "0" "0%")) }}
- rollingUpdate.maxSurge and maxUnavailable are both 0: no upgrade could begin.
{{- end }}
{{- end }}
{{- end }}

{{- define "hmar.refusals.devices" -}}
{{- $gpus := include "hmar.gpus" . | int -}}
{{- if and (eq .Values.device "cuda") (eq $gpus 0) }}
- device is cuda, and resources.limits has no GPU: give it nvidia.com/gpu, as many as one replica is to have.
{{- end }}
{{- if and (eq .Values.device "cpu") (gt $gpus 0) }}
- resources.limits takes {{ $gpus }} GPU(s), and device is cpu, which would leave them idle: say device: cuda, or take them out.
{{- end }}
{{- if eq .Values.device "cpu" }}
{{- range .Values.models }}
{{- if not (has (.precision | default "auto") (list "auto" "fp32")) }}
- the precision of model {{ .name }} is {{ .precision }}, and device is cpu, which computes in fp32.
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "hmar.refusals.models" -}}
{{- $volume := .Values.modelVolume -}}
{{- $sources := compact (list $volume.persistentVolumeClaim $volume.image $volume.init.image) -}}
{{- $mounted := list -}}{{- $names := list -}}
{{- range .Values.models -}}
{{- $names = append $names .name -}}
{{- if hasPrefix (printf "%s/" $volume.mountPath) .path -}}{{- $mounted = append $mounted .path -}}{{- end -}}
{{- end -}}
{{- if ne (len $names) (uniq $names | len) }}
- models has a name twice: {{ join ", " $names }}.
{{- end }}
{{- if gt (len $sources) 1 }}
- modelVolume has {{ len $sources }} sources, {{ join ", " $sources }}: persistentVolumeClaim, image and init.image exclude each other.
{{- end }}
{{- if and $mounted (not $sources) }}
- a model's path is {{ first $mounted }}, and nothing is mounted at {{ $volume.mountPath }}: modelVolume needs a persistentVolumeClaim, an
  image or an init.image.
{{- end }}
{{- if and $sources (not $mounted) }}
- modelVolume mounts {{ first $sources }} at {{ $volume.mountPath }}, and no model's path begins with that.
{{- end }}
{{- if and $volume.image (semverCompare "<1.33.0-0" .Capabilities.KubeVersion.Version) }}
- modelVolume.image needs Kubernetes 1.33, and this is {{ .Capabilities.KubeVersion.Version }}: use init.image or a persistentVolumeClaim.
{{- end }}
{{- if and $volume.init.image .Values.networkPolicy.enabled (not .Values.networkPolicy.egress) }}
- modelVolume.init.image fetches models, and networkPolicy.egress lets it reach nobody: give it a rule (and DNS), or use another source.
{{- end }}
{{- end }}

{{- define "hmar.refusals.network" -}}
{{- $address := .Values.listenAddress -}}
{{- if or (hasPrefix "127." $address) (has $address (list "localhost" "[::1]")) }}
- listenAddress is {{ $address }}, which only the pod itself reaches: probes and clients come by the pod's address; say 0.0.0.0 or "[::]".
{{- end }}
{{- if and (ne .Values.service.type "ClusterIP") .Values.networkPolicy.enabled }}
{{- $blocks := list -}}
{{- range .Values.networkPolicy.clients -}}{{- if hasKey . "ipBlock" -}}{{- $blocks = append $blocks .ipBlock -}}{{- end -}}{{- end -}}
{{- if not $blocks }}
- service.type is {{ .Values.service.type }}, and networkPolicy.clients has no ipBlock: nobody outside of the cluster would get through.
{{- end }}
{{- end }}
{{- end }}

{{- define "hmar.refusals.tls" -}}
{{- $tls := .Values.tls -}}
{{- if and $tls.enabled (not $tls.secretName) }}
- tls.enabled needs tls.secretName: a Secret with tls.crt and tls.key.
{{- end }}
{{- range $name := list "secretName" "clientCaSecretName" "probeSecretName" "serverName" }}
{{- if and (index $tls $name) (not $tls.enabled) }}
- tls.{{ $name }} is {{ index $tls $name }}, and tls.enabled is false: nothing would be encrypted.
{{- end }}
{{- end }}
{{- if and $tls.enabled $tls.clientCaSecretName (not $tls.probeSecretName) }}
- tls.clientCaSecretName asks every client for a certificate, and the probes have none: tls.probeSecretName needs one of that authority.
{{- end }}
{{- if not (or $tls.enabled $tls.allowPlaintext) }}
{{- if .Values.keys.secretName }}
- keys.secretName is {{ .Values.keys.secretName }}, and without tls.enabled keys can be read on the way; where a mesh or a proxy encrypts
  them, say tls.allowPlaintext.
{{- end }}
{{- if ne .Values.service.type "ClusterIP" }}
- service.type is {{ .Values.service.type }}, which strangers reach, and without tls.enabled nothing is encrypted; where something in front
  does that, say tls.allowPlaintext.
{{- end }}
{{- end }}
{{- end }}

{{- define "hmar.refusals.watching" -}}
{{- $monitor := .Values.serviceMonitor -}}
{{- if not .Values.metrics.enabled }}
{{- range $name, $on := dict "serviceMonitor.enabled" $monitor.enabled "autoscaling.hpa" .Values.autoscaling.hpa
  "autoscaling.keda" .Values.autoscaling.keda "metrics.htpasswdSecretName" .Values.metrics.htpasswdSecretName }}
{{- if $on }}
- {{ $name }} is set, and metrics.enabled is false: there is nothing to read.
{{- end }}
{{- end }}
{{- end }}
{{- if and $monitor.enabled (ne (empty .Values.metrics.htpasswdSecretName) (empty $monitor.basicAuthSecretName)) }}
- metrics.htpasswdSecretName is {{ .Values.metrics.htpasswdSecretName | quote }} and serviceMonitor.basicAuthSecretName
  {{ $monitor.basicAuthSecretName | quote }}: Prometheus needs a password where the server asks for one, and only there.
{{- end }}
{{- end }}
