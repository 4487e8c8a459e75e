//go:build mesh

package scenarios

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/mooring"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// The session routes of a VirtualService are Envoy routes that Mooring writes. Each is compared, field by field, with the route that istiod
// writes for the same VirtualService with only the one destination.

func TestSessionRoutesOfVirtualServicesAreAsIstiodWritesThem(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "raw-routes", scenario.WithManifests("ingressgateway"), scenario.WithGatewayEnv(keys))
	cases := readRouteCases(t, s)
	applyObjects(t, s, cases.objects)
	s.Mooring.DeployWithoutWaiting(t, "--callers", s.Namespace)
	applyObjects(t, s, cases.references)
	t.Run("gateway", func(t *testing.T) {
		expectRoutesAsIstiod(t, s.From(t, scenario.FromGateway("ingressgateway")).Proxy(), cases, false)
	})
	t.Run("sidecar", func(t *testing.T) {
		expectRoutesAsIstiod(t, s.From(t, scenario.FromSidecar("caller")).Proxy(), cases, true)
	})
}

// expectRoutesAsIstiod compares the session routes of all cases in a proxy with those of its references.
func expectRoutesAsIstiod(t *testing.T, proxy *envoy.Envoy, cases *routeCases, isSidecar bool) {
	t.Helper()
	var hosts routeHosts
	proxy.Await(t, "all routes are in "+proxy.Name, func() error {
		found, err := proxy.VirtualHosts()
		hosts = routeHosts{byName: map[string][]envoy.Route{}, isSidecar: isSidecar}
		for _, host := range found {
			hosts.byName[host.Name] = host.Routes
		}
		for _, one := range cases.cases {
			err = errors.Join(err, one.missing(hosts))
		}
		return err
	})
	compared := 0
	for _, one := range cases.cases {
		if hosts.of(one, one.host) == nil {
			t.Logf("%s: no route is for this port", one.origin)
		}
		n, problems := one.compare(hosts)
		compared += n
		for _, problem := range problems {
			t.Errorf("%s: %s", one.origin, problem)
		}
	}
	t.Logf("%d session routes of %d VirtualServices are compared", compared, len(cases.cases))
	if compared == 0 {
		t.Error("there is no session route")
	}
}

// routeHosts are the routes of all virtual hosts of a proxy.
type routeHosts struct {
	byName    map[string][]envoy.Route
	isSidecar bool
}

// of returns the routes of a host of a case: on the port of the gateway's listener, or of the Service.
func (h routeHosts) of(c *routeCase, host string) []envoy.Route {
	port := int64(80)
	if h.isSidecar {
		port = c.port
	}
	return h.byName[fmt.Sprintf("%s:%d", host, port)]
}

// missing returns an error while a case lacks references or session routes.
func (c *routeCase) missing(hosts routeHosts) error {
	for _, reference := range c.references {
		// Without a virtual host, all matches are for other ports.
		if hosts.of(c, reference) == nil && hosts.of(c, c.host) != nil {
			return fmt.Errorf("%s: no virtual host %s", c.origin, reference)
		}
	}
	for _, rule := range c.rules {
		own := func(route envoy.Route) bool { return rule.has(route.Name) }
		// A match can be for another port or proxy.
		if rule.destinations < 2 || !slices.ContainsFunc(hosts.of(c, c.references[0]), own) {
			continue
		}
		first := slices.IndexFunc(hosts.of(c, c.host), own)
		if first < 1 || mooring.SessionKey(hosts.of(c, c.host)[first-1]) == "" {
			return fmt.Errorf("%s: no session route precedes %s", c.origin, rule.name)
		}
	}
	return nil
}

// compare compares the session routes of a case, given the routes of each virtual host. It returns the number of comparisons.
func (c *routeCase) compare(hosts routeHosts) (compared int, problems []string) {
	var pending []envoy.Route
	for _, route := range hosts.of(c, c.host) {
		if mooring.SessionKey(route) != "" {
			pending = append(pending, route)
		} else if rule := c.ruleOf(route.Name); len(pending) > 0 && rule != nil {
			n, found := c.compareRule(rule, route, pending, hosts)
			compared, problems, pending = compared+n, append(problems, found...), nil
		}
	}
	for _, route := range pending {
		problems = append(problems, "no route of the user's follows "+route.Name)
	}
	return compared, problems
}

func (c *routeCase) ruleOf(name string) *routeRule {
	for _, rule := range c.rules {
		if rule.has(name) {
			return rule
		}
	}
	return nil
}

// compareRule compares the session routes that precede a rule with the references of each destination.
func (c *routeCase) compareRule(rule *routeRule, user envoy.Route, sessions []envoy.Route, hosts routeHosts) (compared int, problems []string) {
	used := map[string]bool{}
	for i := range rule.destinations {
		var references []any
		for _, route := range hosts.of(c, c.references[i]) {
			if rule.has(route.Name) {
				reference := decoded(strings.ReplaceAll(string(route.Raw), c.referenceNames[i], c.name))
				references = append(references, asWeighted(reference, decoded(string(user.Raw))))
			}
		}
		if len(references) == 0 {
			problems = append(problems, fmt.Sprintf("%s: istiod has no route to destination %d", rule.name, i))
			continue
		}
		cluster := field(references[0], "route", "cluster")
		used[fmt.Sprint(cluster)] = true
		var own []any
		for _, session := range sessions {
			if route := decoded(string(session.Raw)); field(route, "route", "cluster") == cluster {
				own = append(own, route)
			}
		}
		n, found := compareRoutes(own, references)
		compared += n
		for _, problem := range found {
			problems = append(problems, fmt.Sprintf("%s to %v: %s", rule.name, cluster, problem))
		}
	}
	for _, session := range sessions {
		if cluster := field(decoded(string(session.Raw)), "route", "cluster"); !used[fmt.Sprint(cluster)] {
			problems = append(problems, fmt.Sprintf("%s: no destination has the cluster %v", rule.name, cluster))
		}
	}
	return compared, problems
}

// compareRoutes compares the session routes to one backend with istiod's routes, one for each match of the user's rule.
func compareRoutes(own, references []any) (compared int, problems []string) {
	if len(own) == 0 {
		return 0, []string{"there is no session route"}
	}
	if len(own) > 1 && len(own) != len(references) {
		return 0, []string{fmt.Sprintf("there are %d session routes for %d matches", len(own), len(references))}
	}
	for i, reference := range references {
		route := own[min(i, len(own)-1)]
		compared++
		ignored := ignoredFields(len(own), len(references), reference)
		problems = append(problems, differences("", without(route, ignored), without(reference, ignored))...)
	}
	return compared, problems
}

// asWeighted changes the headers of a route with one destination, which has first the changes of the http route and then those of the
// destination, so that their effect is that of the user's route with all destinations: there Envoy applies those of the destination first.
// TestHeadersOfSessionsAreThoseOfNewRequests shows that effect.
func asWeighted(reference, user any) any {
	changed := reference.(map[string]any)
	for _, direction := range []string{"request", "response"} {
		add, remove := direction+"_headers_to_add", direction+"_headers_to_remove"
		all, _ := changed[add].([]any)
		own, _ := field(user, add).([]any)
		removed, _ := field(user, remove).([]any)
		replaced := func(option any) bool {
			name := fmt.Sprint(field(option, "header", "key"))
			sets := func(other any) bool {
				return field(other, "append_action") != nil && strings.EqualFold(name, fmt.Sprint(field(other, "header", "key")))
			}
			return slices.ContainsFunc(own, sets) ||
				slices.ContainsFunc(removed, func(other any) bool { return strings.EqualFold(name, fmt.Sprint(other)) })
		}
		ofDestination := slices.DeleteFunc(slices.Clone(all[len(own):]), replaced)
		if ordered := append(ofDestination, own...); len(ordered) > 0 {
			changed[add] = ordered
		} else {
			delete(changed, add)
		}
	}
	return changed
}

// ignoredFields are the fields in which a session route differs from istiod's route, each with the reason.
func ignoredFields(own, references int, reference any) [][]string {
	ignored := [][]string{
		// It is the key, which tells the user's routes and session routes apart in logs and statistics.
		{"name"},
	}
	split := own > 1
	switch {
	case split:
		// The key's header is left out of the match, see without. Mooring does not write conditions on claims of a token: only a request
		// that has met them has a key.
		ignored = append(ignored, []string{"match", "dynamic_metadata"})
	case field(reference, "route", "prefix_rewrite") != nil:
		// Envoy replaces the part of the path that has matched, so the path is compared. Only a request that has met the other
		// conditions has a key.
		ignored = append(ignored, []string{"match", "headers"}, []string{"match", "query_parameters"}, []string{"match", "dynamic_metadata"})
	default:
		// The key is enough: only a request that has matched the user's route has it.
		ignored = append(ignored, []string{"match"})
	}
	if !split && references > 1 {
		// The name of a span contains the path of the match, and one session route stands for all matches.
		ignored = append(ignored, []string{"decorator"})
	}
	return ignored
}

// without returns a copy of a route without some fields, without the header match of the key, and with the fields that a match has by
// default left out.
func without(route any, ignored [][]string) any {
	result := decoded(encoded(route))
	if match, ok := field(result, "match").(map[string]any); ok {
		if match["case_sensitive"] == true {
			delete(match, "case_sensitive")
		}
		headers, _ := match["headers"].([]any)
		headers = slices.DeleteFunc(headers, func(header any) bool { return field(header, "name") == mooring.BackendHeader })
		if match["headers"] = headers; len(headers) == 0 {
			delete(match, "headers")
		}
		// istiod writes the conditions in a random order; Envoy requires all.
		for _, list := range []string{"headers", "query_parameters"} {
			if conditions, ok := match[list].([]any); ok {
				slices.SortFunc(conditions, func(a, b any) int { return strings.Compare(encoded(a), encoded(b)) })
			}
		}
	}
	for _, path := range ignored {
		parent, _ := field(result, path[:len(path)-1]...).(map[string]any)
		delete(parent, path[len(path)-1])
	}
	return result
}

// differences lists the fields in which two JSON values differ, with both values.
func differences(path string, have, want any) []string {
	a, aIsObject := have.(map[string]any)
	b, bIsObject := want.(map[string]any)
	if !aIsObject || !bIsObject {
		if reflect.DeepEqual(have, want) {
			return nil
		}
		return []string{fmt.Sprintf("%s is\n\t%s\nand not, as istiod writes it,\n\t%s", strings.TrimPrefix(path, "."), encoded(have), encoded(want))}
	}
	var found []string
	for name := range a {
		found = append(found, differences(path+"."+name, a[name], b[name])...)
	}
	for name := range b {
		if _, both := a[name]; !both {
			found = append(found, differences(path+"."+name, nil, b[name])...)
		}
	}
	slices.Sort(found)
	return found
}

// field returns a field of a JSON value, nil if it is missing.
func field(value any, path ...string) any {
	for _, name := range path {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

// decoded decodes JSON of Envoy or of this file.
func decoded(text string) any {
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		panic(err)
	}
	return value
}

func encoded(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func applyObjects(t *testing.T, s *scenario.Scenario, objects []map[string]any) {
	t.Helper()
	s.Apply(t, encoded(map[string]any{"apiVersion": "v1", "kind": "List", "items": objects}))
}

// A header that both the http route and the destination change has the same value in a request of a session as in the first request.
// Envoy applies the changes of a weighted destination before those of the route, and those of a single destination after them, so this is
// not what istiod writes for the single destination.
func TestHeadersOfSessionsAreThoseOfNewRequests(t *testing.T) {
	t.Parallel()
	s, _, newClient := startVSplit(t)
	destination := func(version string) string {
		return fmt.Sprintf(`{"destination":{"host":"web","subset":%q},"weight":50,"headers":{
			"request":{"set":{"x-set":"destination","x-route-adds":"destination","X-Route-Removes":"destination"},
				"add":{"x-added":"destination","x-route-sets":"destination"},"remove":["x-destination-removes"]},
			"response":{"set":{"x-set":"destination"},"add":{"x-added":"destination"}}}}`, version)
	}
	s.PatchJSON(t, istioGroup, "VirtualService", "web", fmt.Sprintf(`[{"op":"replace","path":"/spec/http/1","value":{
		"name":"main","route":[%s,%s],"headers":{
			"request":{"set":{"X-Set":"route","x-route-sets":"route","x-destination-removes":"route"},
				"add":{"x-added":"route","x-route-adds":"route"},"remove":["x-route-removes"]},
			"response":{"set":{"x-set":"route"},"add":{"x-added":"route"}}}}}]`, destination("v1"), destination("v2")))
	s.Mooring.Deploy(t)
	client := newClient(t)
	of := func(reply traffic.Reply) map[string][]string {
		found := map[string][]string{}
		for _, name := range []string{"X-Set", "X-Added", "X-Route-Adds", "X-Route-Sets", "X-Route-Removes", "X-Destination-Removes"} {
			found["request "+name], found["response "+name] = reply.Received.Headers.Values(name), reply.Header.Values(name)
		}
		return found
	}
	first := client.Get(t, "/")
	sessionOf(t, first)
	again := client.Get(t, "/")
	if again.Pod != first.Pod || len(again.SetCookie) > 0 {
		t.Fatalf("from pod %s to %s, Set-Cookie %q", first.Pod, again.Pod, again.SetCookie)
	}
	if want, have := of(first), of(again); !reflect.DeepEqual(have, want) {
		t.Errorf("a request of a session has\n\t%v\nand the first one had\n\t%v", have, want)
	}
}
