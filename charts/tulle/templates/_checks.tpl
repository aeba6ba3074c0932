{{/*
What only the cluster can tell, and nothing that is rendered depends on: each renders nothing, or says what is wrong. Without a
cluster (helm template, --dry-run=client) `lookup` finds nothing, and all is taken.
*/}}

{{/* A mesh keeps its name: fails an upgrade that gives it another. */}}
{{- define "tulle.checkMeshName" -}}
{{- if .Release.IsUpgrade -}}
{{- $running := lookup "apps/v1" "Deployment" .Release.Namespace "tulle-controller" -}}
{{- $name := dig "metadata" "labels" "meshName" "" $running -}}
{{- if and $name (ne $name .Values.meshName) -}}
{{- fail (printf "meshName: the mesh of this release is %q, and an upgrade can't make it %q: the control plane that runs, the pods with sidecars and the labels of their namespaces all have its name. Leave meshName=%s. Or, to rename it: take its namespaces out and restart their pods (tulle namespace remove NAMESPACE), helm uninstall %s -n %s, install again with meshName=%s, and label the namespaces with that." $name .Values.meshName $name .Release.Name .Release.Namespace .Values.meshName) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What is wrong with the Secret of ca.existingSecret; empty: nothing, or nobody can tell. */}}
{{- define "tulle.secretTrouble" -}}
{{- $name := .Values.ca.existingSecret -}}
{{- $ns := .Release.Namespace -}}
{{- $sees := or (lookup "apps/v1" "Deployment" $ns "tulle-controller") (lookup "v1" "ServiceAccount" $ns "default") -}}
{{- if and $name $sees -}}
{{- $secret := lookup "v1" "Secret" $ns $name -}}
{{- $data := dig "data" (dict) $secret -}}
{{- if not $secret -}}
there is no Secret {{ $name | quote }} in namespace {{ $ns }}
{{- else if not (and (hasKey $data "tls.crt") (hasKey $data "tls.key")) -}}
Secret {{ $name | quote }} in namespace {{ $ns }} lacks tls.crt or tls.key
{{- end -}}
{{- end -}}
{{- end }}

{{/* A control plane that runs is not exchanged for one that can't start. */}}
{{- define "tulle.checkSecret" -}}
{{- if .Release.IsUpgrade -}}
{{- with include "tulle.secretTrouble" . -}}
{{- fail (printf "ca.existingSecret: %s, so the new control plane could not start. Create it first: kubectl create secret tls %s -n %s --cert=ca.crt --key=ca.key" . $.Values.ca.existingSecret $.Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- end }}
