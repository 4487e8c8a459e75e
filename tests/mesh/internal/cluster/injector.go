package cluster

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"mooring.dev/tests/mesh/internal/kube"
)

// chart is the folder of the Istio module with the Helm chart of istiod.
const chart = "manifests/charts/istio-control/istio-discovery"

// installInjector gives istiod the templates of its chart, with the chart's default values. From these istiod deploys Gateways that have no
// address, and answers on /inject of its HTTP port.
func (c *Cluster) installInjector() error {
	templates := map[string]string{}
	for name, file := range map[string]string{
		"waypoint": "waypoint", "kube-gateway": "kube-gateway", "sidecar": "injection-template", "gateway": "gateway-injection-template",
	} {
		text, err := os.ReadFile(filepath.Join(c.env.CRDs("istio"), chart, "files", file+".yaml"))
		if err != nil {
			return err
		}
		templates[name] = string(text)
	}
	config, err := yaml.Marshal(map[string]any{
		"policy": "enabled", "defaultTemplates": []string{"sidecar"}, "templates": templates,
	})
	if err != nil {
		return err
	}
	values, err := c.chartValues()
	if err != nil {
		return err
	}
	configMap := kube.Ref("v1", "ConfigMap", RootNamespace, "istio-sidecar-injector")
	configMap.Object["data"] = map[string]any{"config": string(config), "values": values}
	_, err = c.Kube.Apply(configMap)
	return err
}

// chartValues returns the values that the chart writes for the templates.
func (c *Cluster) chartValues() (string, error) {
	text, err := os.ReadFile(filepath.Join(c.env.CRDs("istio"), chart, "values.yaml"))
	if err != nil {
		return "", err
	}
	var file struct {
		Defaults map[string]any `json:"_internal_defaults_do_not_set"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return "", err
	}
	wanted := map[string]bool{"global": true, "sidecarInjectorWebhook": true, "revision": true, "gateways": true}
	pilot := map[string]any{"cni": file.Defaults["cni"], "env": file.Defaults["env"]}
	maps.DeleteFunc(file.Defaults, func(name string, _ any) bool { return !wanted[name] })
	file.Defaults["pilot"] = pilot
	values, err := json.Marshal(file.Defaults)
	return string(values), err
}
