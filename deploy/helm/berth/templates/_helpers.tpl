{{- define "berth.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "berth.secret" -}}
{{- .Values.secret.existing | default (include "berth.name" .) }}
{{- end }}

{{/* Labels of a part: (dict "root" $ "part" "web"). */}}
{{- define "berth.selector" -}}
app.kubernetes.io/name: berth
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "berth.labels" -}}
{{ include "berth.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "berth.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "berth.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "berth.placing" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What every container of Berth's own has. */}}
{{- define "berth.container" -}}
image: {{ required "image.name: the image that is built from deploy/Dockerfile" .Values.image.name | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
envFrom:
  - configMapRef: {name: {{ include "berth.name" . }}}
  - secretRef: {name: {{ include "berth.secret" . }}}
securityContext: {{ include "berth.containerSecurity" . | nindent 2 }}
volumeMounts:
  - {name: home, mountPath: /var/lib/berth}
  - {name: temporary, mountPath: /tmp}
  {{- if .Values.objects.volume }}
  - {name: objects, mountPath: /var/lib/berth-objects}
  {{- end }}
{{- end }}

{{/* A Deployment of Berth's image: (dict "root" $ "part" "web" "args" (list "web") "talks" false). */}}
{{- define "berth.deployment" -}}
{{- $values := index .root.Values .part -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "berth.name" .root }}-{{ .part }}
  labels: {{ include "berth.labels" . | nindent 4 }}
spec:
  replicas: {{ $values.replicas }}
  selector:
    matchLabels: {{ include "berth.selector" . | nindent 6 }}
  template:
    metadata:
      labels: {{ include "berth.labels" . | nindent 8 }}
      annotations:
        berth.dev/settings: {{ printf "%s%s" (include "berth.settings" .root) (toYaml .root.Values.secret) | sha256sum | trunc 16 }}
    spec:
      {{- if and .talks .root.Values.inCluster.enabled }}
      serviceAccountName: {{ include "berth.name" .root }}
      {{- else }}
      automountServiceAccountToken: false
      {{- end }}
      enableServiceLinks: false
      terminationGracePeriodSeconds: 60
      securityContext: {{ include "berth.podSecurity" 10001 | nindent 8 }}
      {{- include "berth.placing" .root | nindent 6 }}
      initContainers:
        # Waits for Postgres; whichever pod comes first migrates, the others find it done.
        - name: migrate
          args: [migrate, --wait, "120"]
          {{- include "berth.container" .root | nindent 10 }}
          resources: {{ toYaml $values.resources | nindent 12 }}
      containers:
        - name: {{ .part }}
          args: {{ toJson .args }}
          {{- include "berth.container" .root | nindent 10 }}
          resources: {{ toYaml $values.resources | nindent 12 }}
          {{- if eq .part "web" }}
          ports:
            - {name: http, containerPort: 8800}
          {{- $probe := dict "path" "/livez" "port" "http" "httpHeaders" (list (dict "name" "Host" "value" (include "berth.host" .root))) }}
          startupProbe:
            httpGet: {{ toJson $probe }}
            periodSeconds: 2
            failureThreshold: 60
          livenessProbe:
            httpGet: {{ toJson $probe }}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          readinessProbe:
            httpGet: {{ toJson (merge (dict "path" "/readyz") $probe) }}
            periodSeconds: 3
            timeoutSeconds: 5
          {{- end }}
      volumes:
        - name: home
          emptyDir: {}
        - name: temporary
          emptyDir: {}
        {{- if .root.Values.objects.volume }}
        - name: objects
          persistentVolumeClaim:
            claimName: {{ .root.Values.objects.existingClaim | default (printf "%s-objects" (include "berth.name" .root)) }}
        {{- end }}
{{- end }}

{{/* The host name in `url`, which the check of the Host header wants. */}}
{{- define "berth.host" -}}
{{- $url := urlParse (required "url: where people find the console, such as https://berth.example.com" .Values.url) -}}
{{- $url.hostname -}}
{{- end }}

{{- define "berth.settings" -}}
BERTH_TRIAL: "false"
BERTH_LOCAL__ENABLED: "false"
BERTH_WEB__URL: {{ .Values.url | quote }}
BERTH_WEB__HOST: 0.0.0.0
BERTH_WEB__PORT: "8800"
{{- if .Values.objects.volume }}
BERTH_OBJECTS__URL: file:///var/lib/berth-objects
{{- end }}
{{- with .Values.inCluster.server }}
BERTH_CLUSTERS__IN_CLUSTER_SERVER: {{ . | quote }}
{{- end }}
{{- range $name, $value := .Values.settings }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}
