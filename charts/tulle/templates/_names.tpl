{{- define "tulle.labels" -}}
app.kubernetes.io/name: tulle
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "tulle.selector" -}}
app: tulle-controller
{{- end }}

{{/* Of what has no namespace: two meshes in one cluster don't share it. */}}
{{- define "tulle.clusterName" -}}
tulle-controller-{{ .Values.meshName }}
{{- end }}

{{/* (dict "root" $ "image" .Values.image.sidecar) */}}
{{- define "tulle.image" -}}
{{- $name := .image.repository -}}
{{- with .root.Values.image.registry }}{{ $name = printf "%s/%s" (trimSuffix "/" .) $name }}{{ end -}}
{{- if .image.digest -}}
{{ $name }}@{{ .image.digest }}
{{- else -}}
{{ $name }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* "24h" in seconds */}}
{{- define "tulle.seconds" -}}
{{- $unit := get (dict "s" 1 "m" 60 "h" 3600 "d" 86400) (regexFind "[smhd]$" .) -}}
{{- mul (regexFind "^[0-9]+" . | int64) $unit -}}
{{- end }}

{{- define "tulle.caSecret" -}}
{{ .Values.ca.existingSecret | default "tulle-ca" }}
{{- end }}

{{/* Where the spans go; empty: nowhere but to the controller. */}}
{{- define "tulle.otlpForward" -}}
{{- if .Values.tracing.endpoint -}}
{{ .Values.tracing.endpoint }}
{{- else if .Values.tracing.jaeger.enabled -}}
http://jaeger.{{ .Release.Namespace }}.svc:4318
{{- end -}}
{{- end }}

{{/* Pod Security "restricted" */}}
{{- define "tulle.podSecurity" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "tulle.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* What the controller is told at its start. */}}
{{- define "tulle.config" -}}
{{- $leaf := include "tulle.seconds" .Values.ca.leafLifetime | int64 -}}
{{- if lt $leaf 60 }}{{ fail (printf "ca.leafLifetime: %s is less than a minute" .Values.ca.leafLifetime) }}{{ end -}}
{{- $injection := dict
  "sidecarImage" (include "tulle.image" (dict "root" . "image" .Values.image.sidecar))
  "imagePullPolicy" .Values.image.pullPolicy
  "logLevel" .Values.injection.logLevel
  "nativeSidecars" .Values.injection.nativeSidecars
  "fastStart" .Values.injection.fastStart
  "concurrency" (int64 .Values.injection.concurrency)
  "resources" .Values.injection.resources
  "imagePullSecrets" .Values.injection.imagePullSecrets
  "preStopSleep" (int64 .Values.injection.preStopSleep)
  "ipv6" .Values.injection.ipv6 -}}
{{- /* Absent after --reuse-values from a chart that did not have it. */}}
{{- with .Values.injection.initResources }}{{ $_ := set $injection "initResources" . }}{{ end -}}
{{- $kubernetes := dict
  "namespace" .Release.Namespace
  "meshName" .Values.meshName
  "service" "tulle-controller"
  "xdsPort" 15128
  "otlpPort" 15129
  "webhookPort" 9090
  "healthPort" 9091
  "caSecret" (include "tulle.caSecret" .)
  "caManaged" (empty .Values.ca.existingSecret)
  "webhookConfiguration" (printf "tulle-injector-%s" .Values.meshName)
  "meshConfig" "osm-mesh-config"
  "lease" "tulle-controller"
  "tokenFile" "/var/run/tulle/token"
  "verifyPeerAddress" .Values.controller.verifyPeerAddress
  "injection" $injection -}}
{{- $mesh := dict
  "mode" .Values.mode
  "modeFrom" "chart value mode"
  "pathMatch" .Values.pathMatch
  "trustDomain" .Values.trustDomain
  "egress" .Values.egress
  "tracing" (dict "sampling" (float64 .Values.tracing.sampling)) -}}
{{- $config := dict
  "id" .Values.meshName
  "mesh" $mesh
  "isolation" "cluster"
  "inputs" list
  "kubernetes" $kubernetes
  "apiPort" 9092
  "pageDir" "/app/page"
  "leafSeconds" $leaf
  "protosFile" "/app/protos.json" -}}
{{- with include "tulle.otlpForward" . }}{{ $_ := set $config "otlpForward" . }}{{ end -}}
{{ toPrettyJson $config }}
{{- end }}
