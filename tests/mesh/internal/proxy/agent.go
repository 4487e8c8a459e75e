package proxy

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/process"
	"mooring.dev/tests/mesh/internal/testenv"
)

// Istio's own agent writes Envoy's bootstrap, starts Envoy, and stands between it and istiod.

// certificates is the agent's folder for its certificate, below its own.
const certificates = "var/run/secrets/workload-spiffe-credentials"

// bootstrapTemplate is the file of the Istio module from which the agent makes the bootstrap.
const bootstrapTemplate = "tools/packaging/common/envoy_bootstrap.json"

// startAgent starts the agent, which starts Envoy. The agent has its own folder, because it finds certificates and the pod's labels by
// relative paths.
func (p *Proxy) startAgent(env *testenv.Env, c *cluster.Cluster, o Options) error {
	dir := filepath.Join(o.Dir, p.processName())
	template, err := os.ReadFile(filepath.Join(env.CRDs("istio"), bootstrapTemplate))
	if err != nil {
		return err
	}
	files := map[string]string{
		"etc/istio/pod/labels": downwardAPI(p.Labels), "envoy": fmt.Sprintf(envoyScript, env.Envoy),
		// In waypoints, the agent enables what only Istio's own Envoy has.
		"bootstrap.json": strings.ReplaceAll(string(template), "if .metadata_discovery", "if false"),
	}
	identity, err := c.Authority.Issue(p.Namespace, p.Owner)
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{"cert-chain": identity.Chain, "key": identity.Key, "root-cert": identity.Root} {
		files[certificates+"/"+name+".pem"] = string(text)
	}
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			return err
		}
	}
	// The agent's Envoy has its administration interface on the loopback device, which all pods of the rig share.
	admin := env.NextPort()
	config, err := json.Marshal(m{
		"discoveryAddress": fmt.Sprintf("%s:%d", c.IP, cluster.SecureXDSPort), "controlPlaneAuthPolicy": "MUTUAL_TLS",
		"binaryPath":                 filepath.Join(dir, "envoy"),
		"proxyBootstrapTemplatePath": filepath.Join(dir, "bootstrap.json"),
		"proxyAdminPort":             admin, "statusPort": env.NextPort(), "concurrency": o.Workers,
		"drainDuration": "1s", "terminationDrainDuration": "0.1s",
		"proxyStatsMatcher": m{"inclusionRegexps": []string{".*"}},
	})
	if err != nil {
		return err
	}
	variables := append([]string{
		"PROXY_CONFIG=" + string(config), "POD_NAME=" + p.Name, "POD_NAMESPACE=" + p.Namespace, "INSTANCE_IP=" + p.IP,
		"SERVICE_ACCOUNT=" + p.Owner, "ISTIO_META_CLUSTER_ID=Kubernetes", "ISTIO_META_ISTIO_VERSION=" + cluster.IstioVersion,
		// With this certificate the agent also authenticates to istiod, which gives the credentials of registries to no one else.
		"PROV_CERT=" + certificates,
		fmt.Sprintf("ENVOY_STATUS_PORT=%d", env.NextPort()), fmt.Sprintf("ENVOY_PROMETHEUS_PORT=%d", env.NextPort()),
	}, o.Env...)
	for name, value := range p.Metadata {
		variables = append(variables, fmt.Sprintf("ISTIO_META_%s=%v", name, value))
	}
	p.Envoy = &envoy.Envoy{Name: p.Name, IP: "127.0.0.1", Port: admin}
	p.Envoy.Process, err = env.Processes.Start(dir, p.processName(),
		[]string{"unshare", "--mount", "sh", "-c", agentScript, "sh", env.Program("pilot-agent"), "proxy", string(p.Role)},
		process.WithEnv(variables...))
	return err
}

// agentScript starts the agent with the modules that it fetches in a file system of its own, as in a pod. The agent's folder for them is a
// constant of Istio. The file system goes with the mount namespace, when the agent and its Envoy end.
const agentScript = `mount -t tmpfs tmpfs /var/lib && mkdir -p /var/lib/istio/data && exec "$@"`

// envoyScript starts Envoy for the agent, and ends Envoy if the agent has been killed.
const envoyScript = `#!/bin/sh
(while kill -0 $PPID && kill -0 $$; do sleep 1; done; kill -9 $$) 2>/dev/null &
exec %q "$@"
`

// downwardAPI writes labels as the kubelet does for a volume.
func downwardAPI(labels map[string]string) string {
	var lines strings.Builder
	for name, value := range labels {
		fmt.Fprintf(&lines, "%s=%q\n", name, value)
	}
	return lines.String()
}
