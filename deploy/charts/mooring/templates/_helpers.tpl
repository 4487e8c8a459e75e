{{/* The name of the release, or with the chart's name after it. */}}
{{- define "mooring.name" -}}
{{- if contains "mooring" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-mooring" (.Release.Name | trunc 42) }}{{ end }}
{{- end }}

{{/* Never `app.kubernetes.io/managed-by: mooring`: that label marks the objects that the command generates. */}}
{{- define "mooring.labels" -}}
app.kubernetes.io/name: mooring
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "mooring.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "mooring.name" .) }}
{{- end }}

{{/* The reference of an image: a dict of `image` and the default `tag`. */}}
{{- define "mooring.image" -}}
{{- if .image.digest }}{{ .image.repository }}@{{ .image.digest }}{{ else }}{{ .image.repository }}:{{ .image.tag | default .tag }}{{ end }}
{{- end }}

{{/* The labels of the controller's pods. */}}
{{- define "mooring.controllerSelector" -}}
app.kubernetes.io/name: mooring
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end }}

{{/* What a container may do: nothing. */}}
{{- define "mooring.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* What the containers of kubectl have in common. */}}
{{- define "mooring.kubectl" -}}
{{- with .Values.cronJob -}}
image: {{ include "mooring.image" (dict "image" .kubectlImage) }}
imagePullPolicy: {{ .kubectlImage.pullPolicy }}
command: [kubectl]
env:
- {name: HOME, value: /tmp}
securityContext:
  {{- include "mooring.containerSecurity" . | nindent 2 }}
resources:
  {{- toYaml .resources | nindent 2 }}
volumeMounts:
- {name: objects, mountPath: /objects, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- end }}
{{- end }}
