//go:build mesh

package scenarios

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/mooring"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// Users keep control of their routes: a change applies at once, without another `mooring generate`, and live sessions stay on their
// pods.

// shift changes only the weights of the first two backends of an HTTPRoute's first rule, as Flagger and Argo Rollouts do.
func shift(t *testing.T, s *scenario.Scenario, route string, v1, v2 int) {
	t.Helper()
	s.PatchJSON(t, gatewayGroup, "HTTPRoute", route, fmt.Sprintf(`[
		{"op":"replace","path":"/spec/rules/0/backendRefs/0/weight","value":%d},
		{"op":"replace","path":"/spec/rules/0/backendRefs/1/weight","value":%d}]`, v1, v2))
}

// awaitWeights waits until a route of Envoy that is no session route has these weights, by a part of the cluster's name.
func awaitWeights(t *testing.T, gateway *gateway.Gateway, name string, weights map[string]int) {
	t.Helper()
	awaitWeightsIn(t, gateway.Envoy, name, weights)
}

func awaitWeightsIn(t *testing.T, e *envoy.Envoy, name string, weights map[string]int) {
	t.Helper()
	e.AwaitRoute(t, name, func(r envoy.Route) bool {
		return mooring.SessionKey(r) == "" && maps.Equal(weightsOf(r, weights), weights)
	})
}

// weightsOf returns the weights of a route by a part of the cluster's name; a name that the route does not have gets 0.
func weightsOf(r envoy.Route, names map[string]int) map[string]int {
	type cluster struct {
		Name   string `json:"name"`
		Weight int    `json:"weight"`
	}
	var route struct {
		Route struct {
			Cluster  string `json:"cluster"`
			Weighted struct {
				Clusters []cluster `json:"clusters"`
			} `json:"weighted_clusters"`
		} `json:"route"`
	}
	if err := json.Unmarshal(r.Raw, &route); err != nil {
		return nil
	}
	clusters := route.Route.Weighted.Clusters
	if route.Route.Cluster != "" {
		clusters = append(clusters, cluster{route.Route.Cluster, 100})
	}
	weights := map[string]int{}
	for name := range names {
		weights[name] = 0
		for _, cluster := range clusters {
			if strings.Contains(cluster.Name, name) {
				weights[name] += cluster.Weight
			}
		}
	}
	return weights
}

// awaitOnly waits until 20 new clients in a row reach one version, and returns when the first did.
func awaitOnly(t *testing.T, newClient func(testing.TB) *traffic.Client, path, version string) time.Time {
	t.Helper()
	var first time.Time
	wait.Eventually(t, "new clients reach only "+version, func() error {
		for range 20 {
			reply := newClient(t).Get(t, path)
			if reply.Version != version {
				return fmt.Errorf("one reached %s, status %d", reply.Pod, reply.Status)
			}
			if first.IsZero() {
				first = time.Now()
			}
		}
		return nil
	})
	return first
}

// Fifty clients with sessions send requests while the weights change, to 0 for either backend and back.
func TestWeightsApplyAtOnceAndSessionsStay(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "examples", scenario.WithExample("split"), scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	gateway := s.Gateway(t, "shop")
	s.Mooring.Deploy(t)
	const path, name = "/checkout/", "checkout"
	weights := func(v1, v2 int) map[string]int { return map[string]int{"checkout-v1": v1, "checkout-v2": v2} }
	shift(t, s, "checkout", 50, 50)
	awaitWeights(t, gateway, name, weights(50, 50))
	load := traffic.StartLoad(t, 50, path, gateway.Client)
	load.AwaitAllClients(t)
	at := load.ClientsByPod()
	t.Logf("fifty clients: %v", at)

	shift(t, s, "checkout", 100, 0)
	awaitOnly(t, gateway.Client, path, "v1")
	load.AwaitAllClients(t)
	patched := time.Now()
	shift(t, s, "checkout", 0, 100)
	first := awaitOnly(t, gateway.Client, path, "v2")
	t.Logf("from the patch of the weights to the first new session that follows: %.2f s", first.Sub(patched).Seconds())
	load.AwaitAllClients(t)

	for i, v1 := range []int{10, 90, 0, 30, 100, 50, 0, 70, 100, 20, 80, 40} {
		shift(t, s, "checkout", v1, 100-v1)
		awaitWeights(t, gateway, name, weights(v1, 100-v1))
		load.AwaitAllClients(t)
		if i%4 == 3 {
			versions := versionsOf(t, gateway.Client(t), sampleSize, path)
			expectShares(t, fmt.Sprintf("%d/%d", v1, 100-v1), versions, map[string]int{"v1": v1, "v2": 100 - v1})
		}
	}
	total := load.Stop()
	t.Logf("fourteen changes of weights: %s", total)
	if total.Failed > 0 || total.Moves > 0 {
		t.Errorf("%d failed %v, %d moves", total.Failed, total.Failures, total.Moves)
	}
	if !maps.Equal(at, load.ClientsByPod()) {
		t.Errorf("the clients are at %v", load.ClientsByPod())
	}
	expectNoFindings(t, s)
}

// Without the plugin, the weights apply to all requests, and no client can select a backend.
func TestWeightsApplyWithoutTheModule(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "examples", scenario.WithExample("split"), scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	gateway := s.Gateway(t, "shop")
	s.Mooring.Deploy(t)
	load := traffic.StartLoad(t, 50, "/checkout/", gateway.Client)
	load.AwaitAllClients(t)
	seen := load.During(t, "the plugin is deleted", 500, func() {
		s.Delete(t, "extensions.istio.io/v1alpha1", "WasmPlugin", "mooring-shop")
		gateway.Envoy.AwaitNoListener(t, "translated-wasmplugin")
	})
	if seen.Failed > 0 {
		t.Errorf("%d failed: %v", seen.Failed, seen.Failures)
	}
	load.AwaitAllClients(t)
	weights := map[string]int{"v1": 90, "v2": 10}
	expectShares(t, "new clients", versionsOf(t, gateway.Client(t), sampleSize, "/checkout/"), weights)
	for _, version := range []string{"v1", "v2"} {
		// A client cannot select a backend in place of the module.
		choice := traffic.WithHeader("x-mooring-backend", "HTTPRoute/"+s.Namespace+"/checkout/checkout/checkout-"+version+"."+s.Namespace+":80")
		expectShares(t, "with a key of "+version, versionsOf(t, gateway.Client(t), sampleSize, "/checkout/", choice), weights)
	}
	before := load.Totals()
	load.Await(t, 1000)
	pods := load.Stop().Since(before).Pods
	versions := map[string]int{"v1": pods["checkout-v1-0"] + pods["checkout-v1-1"], "v2": pods["checkout-v2-0"] + pods["checkout-v2-1"]}
	expectShares(t, "requests of those that had sessions", versions, weights)
	if total := load.Stop(); total.Failed > 0 {
		t.Errorf("%d failed: %v", total.Failed, total.Failures)
	}
}

// Session routes, EnvoyFilter and plugin are added and removed in any order, under fifty clients.
func TestGeneratedObjectsComeAndGoInAnyOrder(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "examples", scenario.WithExample("split"), scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	gateway := s.Gateway(t, "shop")
	shift(t, s, "checkout", 50, 50)
	s.Mooring.Deploy(t)
	expectAnyOrder(t, s, traffic.StartLoad(t, 50, "/checkout/", gateway.Client), map[string][]string{
		"the session routes": {"EnvoyFilter", "WasmPlugin"},
		"the EnvoyFilter":    {"HTTPRoute", "WasmPlugin"},
		"the plugin":         {"HTTPRoute", "EnvoyFilter"},
	})
}

// expectAnyOrder removes one kind of generated object and applies it again; then it removes everything and applies that kind last. It does
// so for each kind. No request may fail, and with all objects the clients must be on the pods of their sessions. The keys of others name a
// kind; the values are the kinds of all other objects.
func expectAnyOrder(t *testing.T, s *scenario.Scenario, load *traffic.Load, others map[string][]string) {
	t.Helper()
	load.AwaitAllClients(t)
	at := load.ClientsByPod()
	during := func(what string, change func()) {
		t.Helper()
		if seen := load.During(t, what, 250, change); seen.Failed > 0 {
			t.Errorf("%s: %d failed: %v", what, seen.Failed, seen.Failures)
		}
	}
	backAgain := func(what string) {
		t.Helper()
		during(what+", then all again", func() { s.Mooring.Deploy(t) })
		load.AwaitAllClients(t)
		if now := load.ClientsByPod(); !maps.Equal(at, now) {
			t.Errorf("%s, then all again: the clients are at %v, and were at %v", what, now, at)
		}
		before := load.Totals()
		load.AwaitAllClients(t)
		expectNothingLost(t, what+", then all again", load.Totals().Since(before))
	}
	for _, name := range slices.Sorted(maps.Keys(others)) {
		during("without "+name, func() { s.Mooring.DeployOnly(t, others[name]...) })
		backAgain("without " + name)
		during("without any", func() { s.Mooring.Undeploy(t) })
		during(name+" last", func() { s.Mooring.DeployOnly(t, others[name]...) })
		backAgain(name + " last")
	}
	t.Log(load.Stop())
}

// startDrift starts a route whose only rule is unnamed, a split with sessions.
func startDrift(t *testing.T) (*scenario.Scenario, *gateway.Gateway) {
	t.Helper()
	s := rig.Start(t, "drift", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	s.Mooring.Deploy(t)
	return s, s.Gateway(t, "front")
}

// A rule that is inserted before an unnamed rule takes its name in Envoy. New clients still follow the user's rules.
func TestRuleInsertedBeforeAnUnnamedRule(t *testing.T) {
	t.Parallel()
	s, gateway := startDrift(t)
	shift(t, s, "web", 100, 0)
	awaitOnly(t, gateway.Client, "/shop", "v1")
	s.PatchJSON(t, gatewayGroup, "HTTPRoute", "web", `[{"op":"add","path":"/spec/rules/0","value":{
		"matches":[{"path":{"type":"PathPrefix","value":"/shop"},"headers":[{"name":"team","value":"blue"}]}],
		"backendRefs":[{"name":"web-v3","port":80}]}}]`)
	awaitWeights(t, gateway, s.Namespace+".web.0", map[string]int{"web-v1": 0, "web-v2": 0, "web-v3": 100})
	awaitWeights(t, gateway, s.Namespace+".web.1", map[string]int{"web-v1": 100, "web-v2": 0, "web-v3": 0})
	blue := traffic.WithHeader("team", "blue")
	for _, c := range []struct {
		name    string
		opts    []traffic.RequestOption
		version string
	}{
		{"the inserted rule", []traffic.RequestOption{blue}, "v3"},
		{"the rule that was moved", nil, "v1"},
	} {
		expectShares(t, c.name, versionsOf(t, gateway.Client(t), sampleSize, "/shop", c.opts...), map[string]int{c.version: 1})
		for _, key := range []string{
			"HTTPRoute/" + s.Namespace + "/web#0/web-v2." + s.Namespace + ":80",
			"HTTPRoute/" + s.Namespace + "/web#1/web-v2." + s.Namespace + ":80",
			"web-v2." + s.Namespace + ":80", "1",
		} {
			opts := append(c.opts, traffic.WithHeader("x-mooring-backend", key))
			expectShares(t, c.name+", a client asks for "+key, versionsOf(t, gateway.Client(t), 100, "/shop", opts...), map[string]int{c.version: 1})
		}
	}
}

// A rule that is inserted before an unnamed rule takes its name in Envoy, and the module has sessions under that name. The session routes of
// the old rule precede the new rule, which has no header match; they must not take requests of the new rule.
func TestSessionsOfAnUnnamedRuleDoNotFollowItsName(t *testing.T) {
	t.Parallel()
	s, gateway := startDrift(t)
	client := gateway.Client(t)
	first := client.Get(t, "/shop")
	cookieOf(t, first, "web-session")
	s.PatchJSON(t, gatewayGroup, "HTTPRoute", "web", `[{"op":"add","path":"/spec/rules/0","value":{
		"matches":[{"path":{"type":"PathPrefix","value":"/shop"},"queryParams":[{"name":"team","value":"blue"}]}],
		"backendRefs":[{"name":"web-v3","port":80}]}}]`)
	awaitWeights(t, gateway, s.Namespace+".web.0", map[string]int{"web-v1": 0, "web-v2": 0, "web-v3": 100})
	for range 40 {
		reply := client.Get(t, "/shop?team=blue")
		if reply.Version != "v3" || len(reply.SetCookie) > 0 {
			t.Fatalf("the inserted rule leads to v3, and %s answered with %d cookies", reply.Version, len(reply.SetCookie))
		}
	}
	s.Mooring.Deploy(t)
	if reply := client.Get(t, "/shop?team=blue"); reply.Version != "v3" {
		t.Errorf("after generating, %s answered", reply.Version)
	}
}

// A Service of the type ExternalName has no cluster itself: its requests go to the cluster of its external name.
func TestSessionsOnAnExternalNameService(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "drift", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	gateway := s.Gateway(t, "front")
	s.Apply(t, "apiVersion: v1\nkind: Service\nmetadata: {name: alias}\nspec:\n  type: ExternalName\n"+
		"  externalName: web-v2."+s.Namespace+".svc.cluster.local\n  ports: [{name: http, port: 80}]\n")
	s.PatchJSON(t, gatewayGroup, "HTTPRoute", "web",
		`[{"op":"replace","path":"/spec/rules/0/backendRefs/1/name","value":"alias"}]`)
	s.Mooring.Deploy(t)
	versions := map[string]int{}
	for range 20 {
		client := gateway.Client(t)
		first := client.Get(t, "/shop")
		cookieOf(t, first, "web-session")
		expectOnPodRefreshed(t, client, "/shop", first.Pod, 5)
		versions[first.Version]++
	}
	if versions["v1"] == 0 || versions["v2"] == 0 {
		t.Errorf("sessions began on %v", versions)
	}
	expectNoFindings(t, s)
}

// The matches of a rule change, and its session routes still have the old path. The session cannot be kept then, and a metric counts that.
// The client keeps its token, which is valid again after the next `mooring generate`.
func TestMissedSessionRouteDoesNotReplaceTheSession(t *testing.T) {
	t.Parallel()
	s, gateway := startDrift(t)
	client := gateway.Client(t)
	first := client.Get(t, "/shop")
	cookieOf(t, first, "web-session")
	s.PatchJSON(t, gatewayGroup, "HTTPRoute", "web",
		`[{"op":"replace","path":"/spec/rules/0/matches/0/path/value","value":"/store"}]`)
	gateway.Envoy.AwaitRoute(t, s.Namespace+".web.0", envoy.Containing("/store"))
	const missed = "wasmcustom.mooring_session_route_missed_total"
	before := gateway.Envoy.Stat(t, missed)
	other, tokens := 0, 0
	for range 100 {
		reply := client.Get(t, "/store")
		if reply.Status != 200 {
			t.Fatalf("status %d", reply.Status)
		}
		if reply.Version != first.Version {
			other++
		}
		tokens += len(reply.SetCookie)
	}
	counted := gateway.Envoy.Stat(t, missed) - before
	t.Logf("of 100 requests, %d went to the other backend, %d were counted, and %d tokens were set", other, counted, tokens)
	if other == 0 || counted != other || tokens > 0 {
		t.Errorf("%d to the other backend, %d counted, %d tokens", other, counted, tokens)
	}
	s.Mooring.Deploy(t)
	expectOnPod(t, client, "/store", first.Pod, 40)
}
