//go:build mesh

package scenarios

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"mooring.dev/tests/mesh/internal/readme"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/wait"
)

// Sidecars of the rig are like those of a mesh.

// Sidecars route like those of a mesh, without Mooring.
func TestSidecarsRouteByHTTPRoutesOfTheMesh(t *testing.T) {
	t.Parallel()
	s := startCallers(t, "http-route")
	for _, from := range []scenario.Origin{scenario.FromSidecar("productpage"), scenario.FromSidecar("batch")} {
		caller := s.From(t, from)
		caller.Proxy().AwaitRoute(t, "reviews", nil)
		for _, host := range []string{"reviews:9080", "reviews." + s.Namespace + ":9080", "reviews." + s.Namespace + ".svc.cluster.local:9080"} {
			client := caller.ClientForHost(t, host)
			expectShares(t, from.String()+" calls "+host, versionsOf(t, client, 200, "/"), map[string]int{"v1": 50, "v2": 50})
		}
		if reply := caller.ClientForHost(t, "elsewhere:9080").Get(t, "/"); reply.Status != 502 {
			t.Errorf("%s: a host outside of the registry: status %d, pod %s", from, reply.Status, reply.Pod)
		}
	}
}

// A sidecar listens on the port of a ServiceEntry that is applied later, and follows the outboundTrafficPolicy of the user.
func TestSidecarsReachServiceEntries(t *testing.T) {
	t.Parallel()
	s := startCallers(t, "http-route", withDoors())
	caller := s.From(t, scenario.FromSidecar("batch"))
	s.Apply(t, fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: partner}
spec:
  hosts: [api.partner.test]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 8090, name: http, protocol: HTTP, targetPort: 9080}]
  endpoints: [{address: %s}]
`, s.Pod(t, "reviews-v1-0").IP))
	if reply := caller.ClientForHost(t, "api.partner.test:8090").Get(t, "/"); reply.Pod != "reviews-v1-0" {
		t.Errorf("api.partner.test: status %d, pod %q", reply.Status, reply.Pod)
	}
	status := func() int { return caller.ClientForHost(t, "elsewhere.test:8090").Get(t, "/").Status }
	if got := status(); got != 502 {
		t.Errorf("REGISTRY_ONLY, a host outside of the registry: status %d", got)
	}
	s.Patch(t, istioGroup, "Sidecar", "default", `{"spec":{"outboundTrafficPolicy":{"mode":"ALLOW_ANY"}}}`)
	wait.Eventually(t, "hosts outside of the registry are allowed", func() error {
		// No original destination leads there without iptables.
		if got := status(); got != 503 {
			return fmt.Errorf("status %d", got)
		}
		return nil
	})
}

// The keys come into the container of the sidecar by the patch and the command of docs/mesh.md, and the templates of Istio's own chart.
func TestInjectedSidecarGetsItsKeys(t *testing.T) {
	t.Parallel()
	s := startCallers(t, "keys", scenario.WithAmbientMesh())
	page := rig.Env.RepositoryFile(meshPage)
	commands, err := readme.Commands(page, "")
	if err != nil {
		t.Fatal(err)
	}
	_, commands, err = readme.Until(commands, "--patch-file")
	if err != nil {
		t.Fatal(err)
	}
	shell := readme.NewShell(t, rig.Env, s.Cluster.Kubeconfig)
	shell.WriteFiles(map[string]string{"caller-keys.yaml": fileOf(t, page, "caller-keys.yaml")})
	shell.Replace("bookinfo", s.Namespace, "productpage-v1", "keyed")
	shell.Run(commands[:1])
	expectInjectedKeys(t, s, "keyed", "sidecar")
}

const meshPage = "docs/mesh.md"

// fileOf returns what a page says is in a file.
func fileOf(t *testing.T, page, name string) string {
	t.Helper()
	files, err := readme.Files(page)
	if err != nil {
		t.Fatal(err)
	}
	if files[name] == "" {
		t.Fatalf("%s has no %s", page, name)
	}
	return files[name]
}

// expectInjectedKeys fails unless Istio's injector makes pods of a Deployment whose proxy, of this role, has the keys and what the injector
// adds.
func expectInjectedKeys(t *testing.T, s *scenario.Scenario, deployment, role string) {
	t.Helper()
	pod := s.Inject(t, deployment)
	var found []corev1.Container
	for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if container.Name == "istio-proxy" {
			found = append(found, container)
		}
	}
	if len(found) != 1 || found[0].Image == "auto" || !slices.Contains(found[0].Args, role) {
		t.Fatalf("the containers named istio-proxy are %v", found)
	}
	variables := map[string]*corev1.EnvVarSource{}
	for _, variable := range found[0].Env {
		variables[variable.Name] = variable.ValueFrom
	}
	source := variables["MOORING_KEYS"]
	if source == nil || source.SecretKeyRef == nil || source.SecretKeyRef.Name != "mooring-keys" {
		t.Errorf("%s: MOORING_KEYS is from %v", deployment, source)
	}
	if _, ok := variables["PROXY_CONFIG"]; !ok {
		t.Errorf("%s: the container lacks what the injector adds: %v", deployment, found[0].Env)
	}
}
