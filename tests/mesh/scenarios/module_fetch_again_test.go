//go:build mesh

package scenarios

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/registry"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/wait"
)

// When Istio's agent fetches again, and the credentials that it fetches with.

// The control plane is exclusive, because a change of any WasmPlugin or EnvoyFilter makes every agent fetch again.
func TestWhatMakesTheAgentFetchAgain(t *testing.T) {
	t.Parallel()
	f := startFetching(t, "close", scenario.WithGatewayAPI(cluster.GatewayAPI16), scenario.WithExclusiveControlPlane())
	for name, change := range map[string]func(){
		"an annotation of the plugin": func() { f.nudge(t) },
		"an EnvoyFilter for other pods": func() {
			f.s.Apply(t, `{apiVersion: networking.istio.io/v1alpha3, kind: EnvoyFilter, metadata: {name: other}, spec: {
				workloadSelector: {labels: {app: other}}, configPatches: [{applyTo: CLUSTER, match: {cluster: {name: other}},
				patch: {operation: MERGE, value: {connect_timeout: 3s}}}]}}`)
		},
		"a new connection to istiod": func() {
			if err := f.s.Cluster.Crash(f.s.Cluster.Istiod, func() {}); err != nil {
				t.Fatal(err)
			}
		},
		"a new gateway pod": func() { f.gateway.Restart(t) },
	} {
		image := "again:" + strings.ReplaceAll(name, " ", "-")
		f.expectFailure(t, "missing image", "_UNKNOWN: ", func() { f.deploy(t, "--wasm", f.images.URL(image)) })
		pushModule(t, f.images, image, registry.OCI)
		f.expectNoFetch(t)
		change()
		wait.Eventually(t, "after "+name+", the gateway has the module", func() error {
			if got := observedResponses(t, f.gateway); got != "200 with sessions" {
				return fmt.Errorf("%s", got)
			}
			return nil
		})
	}
	f.lateFailure(t)
}

// expectNoFetch changes a route, and expects that the agent passes the change on and does not fetch.
func (f *fetching) expectNoFetch(t *testing.T) {
	t.Helper()
	before := len(f.images.Requests(""))
	f.nudges++
	path := fmt.Sprintf("/change-%d", f.nudges)
	f.s.PatchJSON(t, gatewayGroup, "HTTPRoute", "plain",
		`[{"op":"replace","path":"/spec/rules/0/matches","value":[{"path":{"type":"PathPrefix","value":"/"}},{"path":{"type":"Exact","value":"`+path+`"}}]}]`)
	f.gateway.Envoy.Await(t, "the gateway has the changed route", func() error {
		if !strings.Contains(f.gateway.Envoy.Admin(t, "/config_dump?resource=dynamic_route_configs"), path) {
			return fmt.Errorf("no route has %s", path)
		}
		return nil
	})
	f.expectResponses(t, "the image has been pushed, and a route has changed", "403")
	if after := len(f.images.Requests("")); after != before {
		t.Errorf("the agent has sent %d requests", after-before)
	}
}

// The agent fetches for several updates at a time, and the end of the last attempt counts. So a repair is lost if an attempt from before it
// fails after it.
func (f *fetching) lateFailure(t *testing.T) {
	f.repair(t, "before the late failure")
	late, release := registry.Hold()
	f.images.SetFault(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		if strings.Contains(r.URL.Path, "late") {
			return late(w, r)
		}
		return w
	})
	before := len(f.images.Requests("late"))
	f.deploy(t, "--wasm", f.images.URL("late:1"))
	wait.Eventually(t, "the agent asks for the image", func() error { return atLeast(before+1, len(f.images.Requests("late"))) })
	f.s.Mooring.Deploy(t, append(f.good, "--fail-strategy", f.strategy)...)
	f.expectResponses(t, "repaired, while an older attempt runs", "200 with sessions")
	f.expectFailure(t, "the older attempt has failed", "_UNKNOWN: ", release)
	f.images.SetFault(nil)
	f.nudge(t)
	f.awaitSessions(t, "the plugin has another annotation")
}

// istiod reads the Secret and gives it to agents that authenticate. The agent sends it to the registry.
func TestModuleFromAPrivateRegistry(t *testing.T) {
	t.Parallel()
	f := startFetching(t, "open")
	const user, password = "mooring", "secret of the registry"
	url, digest := pushModule(t, f.images, "private:1", registry.OCI)
	args := []string{"--wasm", url, "--wasm-sha256", digest, "--image-pull-secret", "registry"}
	f.images.SetFault(registry.Credentials(user, password, "https://registry.example"))
	f.expectFailure(t, "the Secret does not exist", "missing image pulling secret", func() { f.deploy(t, args...) })
	f.applyPullSecret(t, user, "a wrong password")
	f.expectFailure(t, "a wrong password", "UNAUTHORIZED", func() { f.nudge(t) })
	// A change of the Secret makes the agent fetch again.
	f.applyPullSecret(t, user, password)
	f.awaitSessions(t, "the Secret has the password")
	if dump := f.gateway.Envoy.Admin(t, "/config_dump"); strings.Contains(dump, password) || strings.Contains(dump, basic(user, password)) {
		t.Error("Envoy has the password")
	}
	// The agent takes the realm of every scheme for the URL of a token service.
	f.images.SetFault(registry.Credentials(user, password, "Registry Realm"))
	next, digest := pushModule(t, f.images, "private:2", registry.Docker)
	f.expectFailure(t, "a realm that is not a URL", "rejected unsafe bearer realm", func() {
		f.deploy(t, "--wasm", next, "--wasm-sha256", digest, "--image-pull-secret", "registry")
	})
}

func (f *fetching) applyPullSecret(t *testing.T, user, password string) {
	t.Helper()
	config := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, f.images.Addr, basic(user, password)))
	f.s.Apply(t, `{apiVersion: v1, kind: Secret, metadata: {name: registry}, type: kubernetes.io/dockerconfigjson,
		data: {.dockerconfigjson: `+config+`}}`)
}

func basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}
