{{/* The pod of one Deployment. Takes a dict of `root` and `shard`, "" without shards. */}}
{{- define "bokgu.pod" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
serviceAccountName: bokgu
enableServiceLinks: false
terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
{{- with $values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  {{- toYaml $values.podSecurityContext | nindent 2 }}
containers:
  - name: operator
    image: {{ include "bokgu.image" $root | quote }}
    imagePullPolicy: {{ $values.image.pullPolicy }}
    args: [run]
    env:
      {{- include "bokgu.environment" . | nindent 6 }}
    {{- with $values.extraEnvFrom }}
    envFrom:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    ports:
      - {name: http, containerPort: {{ $values.listen.port }}, protocol: TCP}
      {{- if $values.webhook.enabled }}
      - {name: webhook, containerPort: {{ $values.webhook.port }}, protocol: TCP}
      {{- end }}
    startupProbe:
      httpGet: {path: /healthz, port: http}
      {{- with $values.probes.startup }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    livenessProbe:
      httpGet: {path: /healthz, port: http}
      {{- with $values.probes.liveness }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    readinessProbe:
      httpGet: {path: /readyz, port: http}
      {{- with $values.probes.readiness }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    resources:
      {{- toYaml $values.resources | nindent 6 }}
    securityContext:
      {{- toYaml $values.securityContext | nindent 6 }}
    volumeMounts:
      - {name: tmp, mountPath: /tmp}
      {{- if $values.webhook.enabled }}
      - {name: webhook-token, mountPath: /run/bokgu/webhook, readOnly: true}
      {{- if $values.webhook.tls.enabled }}
      - {name: webhook-tls, mountPath: /run/bokgu/webhook-tls, readOnly: true}
      {{- end }}
      {{- end }}
      {{- with $values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
volumes:
  # Libraries keep files here; the image itself is read-only.
  - name: tmp
    emptyDir: {sizeLimit: 64Mi}
  {{- if $values.webhook.enabled }}
  - name: webhook-token
    secret:
      secretName: {{ required "webhook.enabled: name the Secret with the bearer token in webhook.token.name" $values.webhook.token.name }}
      items: [{key: {{ $values.webhook.token.key }}, path: {{ $values.webhook.token.key }}}]
      defaultMode: 0440
  {{- if $values.webhook.tls.enabled }}
  - name: webhook-tls
    secret:
      secretName: {{ $values.webhook.tls.secretName }}
      defaultMode: 0440
  {{- end }}
  {{- end }}
  {{- with $values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $values.topologySpread.keys }}
# Pods of a rollout are spread among themselves.
topologySpreadConstraints:
{{- range . }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: {{ $values.topologySpread.whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "bokgu.selector" $root | nindent 8 }}
        app.kubernetes.io/component: operator{{ include "bokgu.suffix" $.shard }}
    matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "bokgu.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}
