//go:build mesh

package scenarios

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/mooring"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// For any rules of a user: a request whose first match is a rule matches that rule's own session route first if it has the key of one of
// the rule's backends. The test makes random HTTPRoutes, passes them through `mooring generate`, the API server and istiod, and matches
// random requests to the routes of Envoy as Envoy does. It also sends some of the requests.
func TestEachRuleFindsItsOwnSessionRoutes(t *testing.T) {
	t.Parallel()
	const sets, requests, sent = 20, 400, 15
	seed := rand.Uint64()
	if text := os.Getenv("MESH_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("MESH_SEED=%d", seed)
	random := &randomRoutes{rand.New(rand.NewPCG(seed, seed))}
	s := rig.Start(t, "random", scenario.WithGatewayEnv(keys))
	gateway := s.Gateway(t, "front")
	totals := tableChecks{}
	// The random routes may have none that keys without the rule would confuse; then more sets are tried.
	set := 0
	for ; set < sets || (totals.bare == 0 && set < 4*sets); set++ {
		names := random.apply(t, s, set)
		s.Mooring.DeployWithoutWaiting(t)
		if random.IntN(2) == 0 {
			random.renew(t, s, names)
		}
		// istiod processes HTTPRoutes in the order in which they are applied.
		s.Apply(t, fmt.Sprintf(`{apiVersion: %s, kind: HTTPRoute, metadata: {name: last}, spec: {parentRefs: [{name: front}], hostnames: [last.example],
			rules: [{matches: [{path: {value: /set-%d}}], backendRefs: [{name: web-v1, port: 80}]}]}}`, gatewayGroup, set))
		gateway.Envoy.AwaitRoute(t, s.Namespace+".last.0", envoy.Containing(fmt.Sprintf(`"/set-%d"`, set)))
		s.Mooring.AwaitFilters(t)
		table := gateway.Envoy.RouteTable(t, randomHost)
		seen := tableChecks{}
		bare := table.MapHeader(mooring.BackendHeader, func(key string) string { return key[strings.LastIndex(key, "/")+1:] })
		for range requests {
			request := random.request()
			seen.check(t, table, request)
			totals.bare += seen.checkBare(table, bare, request)
		}
		for range sent {
			seen.send(t, gateway, table, random.request())
		}
		totals.add(seen)
		if t.Failed() {
			for _, route := range table {
				t.Logf("%s -> %v: %s", route.Name, route.Clusters, route.Raw)
			}
			return
		}
		for _, name := range names {
			s.Delete(t, gatewayGroup, "HTTPRoute", name)
		}
	}
	t.Logf("%d sets with %d routes of Envoy's: %d requests with a key, all of them at their own session route; %d matched nothing, %d a rule "+
		"without session routes; %d requests sent, %d of them again in a session; bare keys would have led %d to another rule",
		set, totals.routes, totals.keyed, totals.nothing, totals.plain, totals.sent, totals.resumed, totals.bare)
	if totals.keyed < 2000 || totals.resumed < sets || totals.bare == 0 {
		t.Error("that is too little to have tried anything")
	}
}

const randomHost = "random.example"

// tableChecks counts the checks.
type tableChecks struct{ routes, keyed, nothing, plain, sent, resumed, bare int }

func (c *tableChecks) add(more tableChecks) {
	c.routes += more.routes
	c.keyed += more.keyed
	c.nothing += more.nothing
	c.plain += more.plain
	c.sent += more.sent
	c.resumed += more.resumed
}

// keysOfRule returns the keys of a rule's session routes and the cluster of each. A rule is identified by a header that it adds to
// responses; its session routes add it too.
func keysOfRule(table envoy.RouteTable, rule string) map[string]string {
	found := map[string]string{}
	for _, route := range table {
		if key := mooring.SessionKey(route.Route); key != "" && route.Added["x-rule"] == rule {
			service, port, _ := strings.Cut(key[strings.LastIndex(key, "/")+1:], ":")
			found[key] = "outbound|" + port + "||" + service + ".svc.cluster.local"
		}
	}
	return found
}

func (c *tableChecks) check(t *testing.T, table envoy.RouteTable, request envoy.TableRequest) {
	t.Helper()
	c.routes = len(table)
	first := table.First(request)
	if first == nil {
		c.nothing++
		return
	}
	rule := first.Added["x-rule"]
	if mooring.SessionKey(first.Route) != "" {
		t.Errorf("%+v: without a key, %s", request, first.Raw)
		return
	}
	wanted := 0
	if strings.HasSuffix(rule, "split") {
		wanted = 2
	}
	all := keysOfRule(table, rule)
	if len(all) != wanted {
		t.Errorf("rule %s has the keys %v, expected %d", rule, all, wanted)
	}
	if wanted == 0 {
		c.plain++
	}
	for key, cluster := range all {
		found := table.First(withKey(request, key))
		if found == nil || mooring.SessionKey(found.Route) != key || found.Added["x-rule"] != rule || strings.Join(found.Clusters, " ") != cluster {
			t.Errorf("%+v: matches rule %s, and with its key %s matches %+v", request, rule, key, found)
			continue
		}
		c.keyed++
	}
}

// checkBare returns how many keys of a rule select another route if the keys are the names of the backends only.
func (c *tableChecks) checkBare(table, bare envoy.RouteTable, request envoy.TableRequest) int {
	first := table.First(request)
	if first == nil {
		return 0
	}
	wrong := 0
	for key := range keysOfRule(table, first.Added["x-rule"]) {
		found := bare.First(withKey(request, key[strings.LastIndex(key, "/")+1:]))
		if found == nil || found.Added["x-rule"] != first.Added["x-rule"] {
			wrong++
		}
	}
	return wrong
}

func withKey(request envoy.TableRequest, key string) envoy.TableRequest {
	headers := map[string]string{"x-mooring-backend": key}
	for name, value := range request.Headers {
		headers[name] = value
	}
	request.Headers = headers
	return request
}

// send sends a request of a new client, and again in the session that the first response may have begun.
func (c *tableChecks) send(t *testing.T, gateway *gateway.Gateway, table envoy.RouteTable, request envoy.TableRequest) {
	t.Helper()
	path := request.Path
	separator := "?"
	for name, value := range request.Query {
		path += separator + name + "=" + value
		separator = "&"
	}
	opts := []traffic.RequestOption{func(r *http.Request) { r.Method = request.Method }}
	for name, value := range request.Headers {
		opts = append(opts, traffic.WithHeader(name, value))
	}
	want, status := "", 404
	if first := table.First(request); first != nil {
		want, status = first.Added["x-rule"], 200
	}
	client := gateway.ClientForHost(t, randomHost)
	reply := client.Get(t, path, opts...)
	c.sent++
	if reply.Status != status || reply.Header.Get("x-rule") != want || strings.HasSuffix(want, "split") != (len(reply.SetCookie) == 1) {
		t.Errorf("%+v: status %d, rule %q, Set-Cookie %q, expected rule %q", request, reply.Status, reply.Header.Get("x-rule"), reply.SetCookie, want)
	}
	if len(reply.SetCookie) == 0 {
		return
	}
	for range 5 {
		again := client.Get(t, path, opts...)
		if again.Pod != reply.Pod || again.Header.Get("x-rule") != want || len(again.SetCookie) > 0 {
			t.Errorf("%+v: from pod %s and rule %q to %s and %q, Set-Cookie %q",
				request, reply.Pod, want, again.Pod, again.Header.Get("x-rule"), again.SetCookie)
		}
		if got := again.Received.Headers.Values("X-Added"); len(got) != 1 || got[0] != want {
			t.Errorf("%+v: the rule's header came to the pod as %q", request, got)
		}
		expectNoInternalHeaders(t, again)
	}
	c.resumed++
}

// randomRoutes makes rules and requests from the same few words, so that they often match.
type randomRoutes struct{ *rand.Rand }

type fields = map[string]any

func (r *randomRoutes) one(of ...string) string { return of[r.IntN(len(of))] }

// apply makes the HTTPRoutes of a set, applies them in random order, and returns their names.
func (r *randomRoutes) apply(t *testing.T, s *scenario.Scenario, set int) []string {
	t.Helper()
	var names []string
	for route := range 1 + r.IntN(4) {
		namespace := r.one("random", "random-b")
		name := fmt.Sprintf("%s-%d-%d", r.one("a", "m", "mo", "z"), set, route)
		var rules []any
		for rule := range 1 + r.IntN(4) {
			rules = append(rules, r.rule(fmt.Sprintf("%s-%d", name, rule)))
		}
		applyFields(t, s, namespace, name, fields{
			"hostnames": []any{randomHost}, "parentRefs": []any{fields{"name": "front", "namespace": "random"}}, "rules": rules,
		})
		names = append(names, namespace+"/"+name)
	}
	return names
}

// renew replaces some of the routes in a later second, so that they are younger than all session routes.
func (r *randomRoutes) renew(t *testing.T, s *scenario.Scenario, names []string) {
	t.Helper()
	for _, name := range names {
		if r.IntN(2) == 0 {
			continue
		}
		old := s.Get(t, gatewayGroup, "HTTPRoute", name)
		wait.Eventually(t, "a second has passed", func() error {
			if now := time.Now().Truncate(time.Second); !now.After(old.GetCreationTimestamp().Time) {
				return fmt.Errorf("it is %s", now)
			}
			return nil
		})
		s.Delete(t, gatewayGroup, "HTTPRoute", name)
		applyFields(t, s, old.GetNamespace(), old.GetName(), old.Object["spec"])
	}
}

func applyFields(t *testing.T, s *scenario.Scenario, namespace, name string, spec any) {
	t.Helper()
	text, err := yaml.Marshal(fields{
		"apiVersion": gatewayGroup, "kind": "HTTPRoute", "metadata": fields{"name": name, "namespace": namespace}, "spec": spec,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Apply(t, string(text))
}

func (r *randomRoutes) rule(name string) fields {
	rule := fields{"backendRefs": []any{fields{"name": "web-v1", "port": 80, "weight": 1 + r.IntN(100)}}}
	mark := name + "-plain"
	if r.IntN(4) > 0 {
		mark = name + "-split"
		rule["backendRefs"] = append(rule["backendRefs"].([]any), fields{"name": "web-v2", "port": 80, "weight": r.IntN(100)})
		rule["sessionPersistence"] = fields{"sessionName": "session-" + name}
	}
	if r.IntN(2) == 0 {
		rule["name"] = r.one("first", "main", "x") + "-" + name // else it might be there twice, and be refused
	}
	rule["filters"] = []any{
		fields{"type": "ResponseHeaderModifier", "responseHeaderModifier": fields{"set": []any{fields{"name": "x-rule", "value": mark}}}},
		fields{"type": "RequestHeaderModifier", "requestHeaderModifier": fields{"set": []any{fields{"name": "x-added", "value": mark}}}},
	}
	var matches []any
	for range r.IntN(4) {
		matches = append(matches, r.match())
	}
	if len(matches) > 0 {
		rule["matches"] = matches
	}
	return rule
}

func (r *randomRoutes) match() fields {
	match := fields{}
	switch r.IntN(8) {
	case 0, 1:
		match["path"] = fields{"type": "Exact", "value": r.one("/", "/a", "/a/b", "/ab")}
	case 2, 3, 4:
		match["path"] = fields{"type": "PathPrefix", "value": r.one("/", "/a", "/a/", "/a/b", "/ab")}
	case 5, 6:
		match["path"] = fields{"type": "RegularExpression", "value": r.one("/a.*", "/[ab]+", "/a/(b|c)", "/.*")}
	}
	if r.IntN(4) == 0 {
		match["method"] = r.one("GET", "POST")
	}
	match["headers"] = r.pairs(3, "x-a", "x-b")
	match["queryParams"] = r.pairs(4, "q", "p")
	return match
}

// pairs returns conditions on some of these names, each with a probability of one in n.
func (r *randomRoutes) pairs(n int, names ...string) []any {
	pairs := []any{}
	for _, name := range names {
		switch {
		case r.IntN(n) > 0:
		case r.IntN(3) == 0:
			pairs = append(pairs, fields{"name": name, "type": "RegularExpression", "value": r.one("[12]", "1|3", ".*")})
		default:
			pairs = append(pairs, fields{"name": name, "type": "Exact", "value": r.one("1", "2")})
		}
	}
	return pairs
}

func (r *randomRoutes) request() envoy.TableRequest {
	request := envoy.TableRequest{
		Method: r.one("GET", "GET", "POST", "PUT"), Path: r.one("/", "/a", "/a/b", "/ab", "/a/", "/a/c", "/a/b/c", "/b", "/abc"),
		Headers: map[string]string{}, Query: map[string]string{},
	}
	for _, name := range []string{"x-a", "x-b"} {
		if r.IntN(2) == 0 {
			request.Headers[name] = r.one("1", "2", "3")
		}
	}
	for _, name := range []string{"q", "p"} {
		if r.IntN(3) == 0 {
			request.Query[name] = r.one("1", "2", "3")
		}
	}
	return request
}
