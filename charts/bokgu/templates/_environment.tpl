{{/*
Settings of the operator (docs/install.md), as a list of environment variables. Takes a dict of `root` and `shard`.
Every variable of extraEnv takes the place of the one of that name.
*/}}
{{- define "bokgu.environment" -}}
{{- $own := list }}
{{- range $variable := include "bokgu.settings" . | fromYamlArray }}
{{- $replaced := false }}
{{- range $.root.Values.extraEnv }}{{ if eq .name $variable.name }}{{ $replaced = true }}{{ end }}{{ end }}
{{- if not $replaced }}{{ $own = append $own $variable }}{{ end }}
{{- end }}
{{- concat $own .root.Values.extraEnv | toYaml }}
{{- end }}

{{- define "bokgu.settings" -}}
{{- $values := .root.Values -}}
- {name: BOKGU_NAMESPACE, value: {{ .root.Release.Namespace | quote }}}
- {name: BOKGU_LEASE_NAME, value: {{ $values.lease.name | quote }}}
- {name: BOKGU_LEASE_DURATION, value: {{ $values.lease.duration | quote }}}
- {name: BOKGU_LEASE_RENEW_DEADLINE, value: {{ $values.lease.renewDeadline | quote }}}
- {name: BOKGU_LEASE_RETRY, value: {{ $values.lease.retry | quote }}}
{{- with .shard }}
- {name: BOKGU_SHARD, value: {{ . | quote }}}
{{- end }}
- {name: BOKGU_LISTEN_HOST, value: {{ $values.listen.host | quote }}}
- {name: BOKGU_LISTEN_PORT, value: {{ $values.listen.port | quote }}}
- {name: BOKGU_LOG_LEVEL, value: {{ $values.logLevel | quote }}}
{{- with $values.aws }}
{{- with .region }}
- {name: AWS_REGION, value: {{ . | quote }}}
{{- end }}
{{- with .endpointUrl }}
- {name: BOKGU_AWS_ENDPOINT_URL, value: {{ . | quote }}}
{{- end }}
{{- with .assumableRoles }}
{{- $roles := list }}
{{- range . }}{{ $roles = append $roles (printf "%s=%s" .namespace .roleArn) }}{{ end }}
- {name: BOKGU_ASSUMABLE_ROLES, value: {{ join "," $roles | quote }}}
{{- end }}
{{- with .quotas }}
{{- $quotas := list }}
{{- range $name, $rate := . }}{{ $quotas = append $quotas (printf "%s=%s" $name (toString $rate)) }}{{ end }}
- {name: BOKGU_AWS_QUOTAS, value: {{ join "," $quotas | quote }}}
{{- end }}
- {name: BOKGU_AWS_THREADS, value: {{ .threads | quote }}}
- {name: BOKGU_CONSISTENCY_DELAY, value: {{ .consistencyDelay | quote }}}
{{- end }}
{{- with $values.eventQueues }}
{{- $queues := list }}
{{- range . }}{{ $queues = append $queues (empty .region | ternary .url (printf "%s=%s" (.region | default "") .url)) }}{{ end }}
- {name: BOKGU_EVENT_QUEUES, value: {{ join "," $queues | quote }}}
{{- end }}
{{- if $values.webhook.enabled }}
- {name: BOKGU_WEBHOOK_TOKEN_FILE, value: {{ printf "/run/bokgu/webhook/%s" $values.webhook.token.key | quote }}}
- {name: BOKGU_WEBHOOK_PORT, value: {{ $values.webhook.port | quote }}}
{{- with $values.webhook.limits }}
- {name: BOKGU_WEBHOOK_MAX_BODY, value: {{ .bodyBytes | int64 | quote }}}
- {name: BOKGU_WEBHOOK_RATE, value: {{ .requestsPerSecond | int64 | quote }}}
- {name: BOKGU_WEBHOOK_PATIENCE, value: {{ .patience | quote }}}
- {name: BOKGU_WEBHOOK_CONNECTIONS, value: {{ .connections | int64 | quote }}}
{{- end }}
{{- if $values.webhook.tls.enabled }}
- {name: BOKGU_WEBHOOK_CERTIFICATE_FILE, value: /run/bokgu/webhook-tls/tls.crt}
- {name: BOKGU_WEBHOOK_KEY_FILE, value: /run/bokgu/webhook-tls/tls.key}
{{- end }}
{{- end }}
- {name: BOKGU_SIGNERS_CONFIGMAP, value: {{ $values.signers.configMapName | quote }}}
{{- with $values.approvals }}
{{- with .delegates }}
{{- $delegates := list }}
{{- range . }}{{ $delegates = append $delegates (printf "%s:%s" .namespace .name) }}{{ end }}
- {name: BOKGU_DELEGATES, value: {{ join "," $delegates | quote }}}
{{- end }}
{{- with .autoNamespaces }}
- {name: BOKGU_AUTO_NAMESPACES, value: {{ join "," . | quote }}}
{{- end }}
{{- with .emergencyRole }}
- {name: BOKGU_EMERGENCY_ROLE, value: {{ . | quote }}}
{{- end }}
{{- end }}
- {name: BOKGU_ALERTS_SECRET, value: {{ $values.alerts.secretName | quote }}}
- {name: BOKGU_ALERT_TEMPLATES_CONFIGMAP, value: {{ $values.alerts.templatesConfigMapName | quote }}}
- {name: BOKGU_LANGUAGE, value: {{ $values.alerts.language | quote }}}
{{- with $values.heartbeat.url }}{{ if .name }}
- name: BOKGU_HEARTBEAT_URL
  valueFrom: {secretKeyRef: {name: {{ .name }}, key: {{ .key }}{{ include "bokgu.suffix" $.shard }}}}
{{- end }}{{ end }}
{{- with $values.history }}
- {name: BOKGU_HISTORY, value: {{ .backend | quote }}}
- {name: BOKGU_HISTORY_TABLE_PREFIX, value: {{ .tablePrefix | quote }}}
{{- with .region }}
- {name: BOKGU_HISTORY_REGION, value: {{ . | quote }}}
{{- end }}
{{- with .roleArn }}
- {name: BOKGU_HISTORY_ROLE_ARN, value: {{ . | quote }}}
{{- end }}
- {name: BOKGU_HISTORY_LIFETIME, value: {{ .lifetime | quote }}}
{{- end }}
- {name: BOKGU_RETENTION, value: {{ $values.retention | quote }}}
{{- with $values.redactionPatterns }}
- {name: BOKGU_REDACTION_PATTERNS, value: {{ join "\n" . | quote }}}
{{- end }}
- {name: BOKGU_WORKERS, value: {{ $values.workers | quote }}}
{{- with $values.intervals }}
- {name: BOKGU_SERVICE_POLL, value: {{ .servicePoll | quote }}}
- {name: BOKGU_STEP_POLL, value: {{ .stepPoll | quote }}}
- {name: BOKGU_RESYNC, value: {{ .resync | quote }}}
- {name: BOKGU_POLICY_SETTLE, value: {{ .policySettle | quote }}}
{{- end }}
{{- with $values.traces }}
{{- if .endpointFrom.name }}
- name: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT
  valueFrom: {secretKeyRef: {name: {{ .endpointFrom.name }}, key: {{ .endpointFrom.key }}}}
{{- else if .endpoint }}
- {name: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, value: {{ .endpoint | quote }}}
{{- end }}
{{- end }}
{{- end }}
