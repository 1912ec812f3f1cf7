{{- define "zserve.fullname" -}}
{{- if contains "zserve" .Release.Name -}}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}{{ printf "%s-zserve" .Release.Name | trunc 50 | trimSuffix "-" }}{{- end -}}
{{- end -}}

{{- define "zserve.selector" -}}
app.kubernetes.io/name: zserve
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "zserve.labels" -}}
{{ include "zserve.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "zserve.image" -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end -}}

{{- define "zserve.graceSeconds" -}}
{{ add .Values.preStopSeconds (ceil .Values.shutdownDelaySeconds) .Values.shutdownTimeoutSeconds 10 }}
{{- end -}}

{{- define "zserve.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
{{- if .Values.store.claim }}
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "zserve.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: ["ALL"]
{{- end -}}

{{- /* The container of the service, in a Deployment and in an InferenceService. */ -}}
{{- define "zserve.container" -}}
image: {{ include "zserve.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
ports:
  - name: http
    containerPort: 8000
    protocol: TCP
env:
  {{- if .Values.kserve.enabled }}
  # Read by KServe, not by the service: clients speak the Open Inference Protocol.
  - name: PROTOCOL
    value: v2
  {{- end }}
  - name: ZSERVE_HOST
    value: "0.0.0.0"
  - name: ZSERVE_PORT
    value: "8000"
  - name: ZSERVE_WORKERS
    value: {{ .Values.workers | quote }}
  - name: ZSERVE_MODEL
    value: {{ .Values.model | quote }}
  - name: ZSERVE_LOG_FORMAT
    value: json
  - name: ZSERVE_SHUTDOWN_DELAY_S
    value: {{ .Values.shutdownDelaySeconds | quote }}
  - name: ZSERVE_SHUTDOWN_TIMEOUT_S
    value: {{ .Values.shutdownTimeoutSeconds | quote }}
  {{- if or .Values.store.claim .Values.store.url }}
  - name: ZSERVE_STORE
    value: {{ .Values.store.url | default "/store" | quote }}
  {{- end }}
  {{- if .Values.store.url }}
  # The service keeps its copies of the store in the folder zserve there.
  - name: XDG_CACHE_HOME
    value: /cache
  {{- end }}
  {{- if .Values.adminToken.secret }}
  - name: ZSERVE_ADMIN_TOKEN
    valueFrom:
      secretKeyRef:
        name: {{ .Values.adminToken.secret }}
        key: {{ .Values.adminToken.key }}
  {{- end }}
  {{- range $name, $value := .Values.settings }}
  - name: {{ $name }}
    value: {{ $value | quote }}
  {{- end }}
{{- if .Values.store.credentialsSecret }}
envFrom:
  - secretRef:
      name: {{ .Values.store.credentialsSecret }}
{{- end }}
startupProbe:
  httpGet:
    path: /healthz
    port: http
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: 120
readinessProbe:
  httpGet:
    path: {{ ternary "/v2/health/ready" "/readyz" .Values.kserve.enabled }}
    port: http
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
livenessProbe:
  httpGet:
    path: /healthz
    port: http
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
lifecycle:
  preStop:
    sleep:
      seconds: {{ .Values.preStopSeconds }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- include "zserve.containerSecurity" . | nindent 2 }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- if .Values.store.claim }}
  - name: store
    mountPath: /store
    readOnly: {{ not .Values.adminToken.secret }}
  {{- end }}
  {{- if .Values.store.url }}
  - name: cache
    mountPath: /cache
  {{- end }}
{{- end -}}

{{- define "zserve.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 1Gi
{{- if .Values.store.claim }}
- name: store
  persistentVolumeClaim:
    claimName: {{ .Values.store.claim }}
{{- end }}
{{- if .Values.store.url }}
- name: cache
  emptyDir:
    sizeLimit: 5Gi
{{- end }}
{{- end -}}
