{{/* Labels of everything. */}}
{{- define "bokgu.labels" -}}
{{ include "bokgu.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of all pods, which never change. */}}
{{- define "bokgu.selector" -}}
app.kubernetes.io/name: bokgu
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* What is appended to the names of a shard. Takes the shard's name, "" without shards. */}}
{{- define "bokgu.suffix" -}}
{{- with . }}-{{ . }}{{ end -}}
{{- end }}

{{/* The operator's user name, which admission policies know it by. */}}
{{- define "bokgu.user" -}}
system:serviceaccount:{{ .Release.Namespace }}:bokgu
{{- end }}

{{/* Names of the ConfigMaps with the history of incidents. */}}
{{- define "bokgu.histories" -}}
{{- range until 8 }}
- bokgu-history-{{ . }}
{{- end }}
{{- end }}
