// Patches measures what generated EnvoyFilters cost istiod: its own code applies them to the routes of many rules, as it does
// for each push, gateway and port.
//
//	patches -rules 2000 -hosts 2000 -print          the HTTPRoutes, for `mooring generate`
//	patches -rules 2000 -hosts 2000 <generated      the time, least of five
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"

	meshconfig "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/pkg/config/memory"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/core/envoyfilter"
	memregistry "istio.io/istio/pilot/pkg/serviceregistry/memory"
	"istio.io/istio/pkg/config/mesh/meshwatcher"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/gvk"
	"istio.io/istio/pkg/kube/krt"
	"istio.io/istio/pkg/log"
)

// perRoute is how many rules an HTTPRoute may have.
const perRoute = 16

func main() {
	rules := flag.Int("rules", 2000, "how many rules there are")
	hosts := flag.Int("hosts", 1, "how many host names they have, in turn")
	backends := flag.Int("backends", 1, "how many backends each rule has")
	print := flag.Bool("print", false, "print the objects of the user's, and measure nothing")
	flag.Parse()
	for _, scope := range log.Scopes() {
		scope.SetOutputLevel(log.NoneLevel)
	}
	if *print {
		printRoutes(*rules, *hosts, *backends)
		return
	}
	generated, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = measure(string(generated), *rules, *hosts, *backends)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "patches:", err)
		os.Exit(1)
	}
}

func hostOf(rule, hosts int) string { return fmt.Sprintf("host-%d.example", rule%hosts) }

// printRoutes writes a Gateway, Services and the rules. Those of one host share HTTPRoutes as far as there is room.
func printRoutes(rules, hosts, backends int) {
	fmt.Println(`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: istio
  listeners: [{name: http, port: 80, protocol: HTTP}]`)
	for backend := range backends {
		fmt.Printf("---\napiVersion: v1\nkind: Service\nmetadata: {name: web-v%d}\nspec: {ports: [{name: http, port: 80}]}\n", backend+1)
	}
	ofHost := make([][]int, hosts)
	for rule := range rules {
		ofHost[rule%hosts] = append(ofHost[rule%hosts], rule)
	}
	for host, ofThis := range ofHost {
		for part, some := range slices.Collect(slices.Chunk(ofThis, perRoute)) {
			fmt.Printf("---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: route-%d-%d}\nspec:\n", host, part)
			fmt.Printf("  hostnames: [%s]\n  parentRefs: [{name: edge}]\n  rules:\n", hostOf(host, hosts))
			for _, rule := range some {
				fmt.Printf("  - name: rule-%d\n    matches: [{path: {type: PathPrefix, value: /rule-%d}}]\n", rule, rule)
				fmt.Printf("    sessionPersistence: {sessionName: rule-%d}\n    backendRefs:\n", rule)
				for backend := range backends {
					fmt.Printf("    - {name: web-v%d, port: 80, weight: 1}\n", backend+1)
				}
			}
		}
	}
}

// measure applies the patches to the routes that istiod makes of these rules and, if they are splits, of their session routes.
func measure(generated string, rules, hosts, backends int) error {
	began := time.Now()
	filters, err := merged(generated)
	if err != nil {
		return err
	}
	parsed := time.Since(began)
	patches := 0
	for _, of := range []networking.EnvoyFilter_ApplyTo{
		networking.EnvoyFilter_ROUTE_CONFIGURATION, networking.EnvoyFilter_VIRTUAL_HOST, networking.EnvoyFilter_HTTP_ROUTE,
	} {
		patches += len(filters.Patches[of])
	}
	table := routesOf(rules, hosts, backends)
	var least time.Duration
	var out *route.RouteConfiguration
	for range 5 {
		in := proto.Clone(table).(*route.RouteConfiguration)
		began := time.Now()
		out = envoyfilter.ApplyRouteConfigurationPatches(networking.EnvoyFilter_GATEWAY, gateway(), filters, in)
		if took := time.Since(began); least == 0 || took < least {
			least = took
		}
	}
	patchedHosts, patchedRoutes := 0, 0
	for _, host := range out.VirtualHosts {
		if len(host.TypedPerFilterConfig) > 0 {
			patchedHosts++
		}
		for _, r := range host.Routes {
			if len(r.TypedPerFilterConfig) > 0 {
				patchedRoutes++
			}
		}
	}
	// The first word is for programs.
	fmt.Printf("%.3f ms for %d patches, %d virtual hosts and %d routes patched, %d bytes of routes before and %d after, EnvoyFilters read in %.0f ms\n",
		float64(least.Microseconds())/1000, patches, patchedHosts, patchedRoutes, proto.Size(table), proto.Size(out),
		float64(parsed.Microseconds())/1000)
	return nil
}

func gateway() *model.Proxy {
	return &model.Proxy{
		Type: model.Router, ConfigNamespace: "default",
		Labels:   map[string]string{"gateway.networking.k8s.io/gateway-name": "edge"},
		Metadata: &model.NodeMetadata{Namespace: "default", Labels: map[string]string{"gateway.networking.k8s.io/gateway-name": "edge"}},
	}
}

// merged is what istiod makes of the EnvoyFilters.
func merged(generated string) (*model.MergedEnvoyFilterWrapper, error) {
	store := memory.NewController(memory.Make(collections.Pilot))
	for _, document := range strings.Split(generated, "\n---\n") {
		if !strings.Contains(document, "kind: EnvoyFilter") {
			continue
		}
		configs, _, err := crd.ParseInputs(document)
		if err != nil {
			return nil, err
		}
		for _, config := range configs {
			if _, err := store.Create(config); err != nil {
				return nil, err
			}
		}
	}
	mesh := &meshconfig.MeshConfig{RootNamespace: "istio-system"}
	watcher := meshwatcher.NewTestWatcher(mesh)
	env := &model.Environment{ServiceDiscovery: memregistry.NewServiceDiscovery(), ConfigStore: store, Watcher: watcher}
	env.VirtualServiceController = model.NewVirtualServiceController(store, model.VSControllerOptions{KrtDebugger: krt.GlobalDebugHandler}, watcher)
	stop := make(chan struct{})
	defer close(stop)
	go store.Run(stop)
	go env.VirtualServiceController.Run(stop)
	for !store.HasSynced() || !env.VirtualServiceController.HasSynced() {
		time.Sleep(time.Millisecond)
	}
	env.Init()
	push := model.NewPushContext()
	push.InitContext(env, nil, nil)
	filters := push.EnvoyFilters(gateway())
	if filters == nil {
		return nil, fmt.Errorf("none of the %d EnvoyFilters is for the gateway", len(store.List(gvk.EnvoyFilter, "")))
	}
	return filters, nil
}

func routesOf(rules, hosts, backends int) *route.RouteConfiguration {
	table := &route.RouteConfiguration{Name: "http.80"}
	for host := range hosts {
		name := hostOf(host, hosts)
		table.VirtualHosts = append(table.VirtualHosts, &route.VirtualHost{Name: name + ":80", Domains: []string{name}})
	}
	for rule := range rules {
		host := table.VirtualHosts[rule%hosts]
		if backends > 1 {
			for backend := range backends {
				host.Routes = append(host.Routes, routeTo(rule, fmt.Sprintf("default.mooring-route-%d.%d", rule, backend), backend, true))
			}
		}
		host.Routes = append(host.Routes, routeTo(rule, fmt.Sprintf("rule-%d", rule), 0, false))
	}
	return table
}

func routeTo(rule int, name string, backend int, keyed bool) *route.Route {
	made := &route.Route{
		Name:     name,
		Metadata: &corev3.Metadata{},
		Match: &route.RouteMatch{
			PathSpecifier: &route.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: fmt.Sprintf("/rule-%d", rule)},
		},
		Action: &route.Route_Route{Route: &route.RouteAction{
			ClusterSpecifier: &route.RouteAction_Cluster{Cluster: fmt.Sprintf("outbound|80||web-v%d.default.svc.cluster.local", backend+1)},
		}},
	}
	if keyed {
		key := fmt.Sprintf("HTTPRoute/default/route/rule-%d/web-v%d.default:80", rule, backend+1)
		made.Match.Headers = []*route.HeaderMatcher{{
			Name: "x-mooring-backend",
			HeaderMatchSpecifier: &route.HeaderMatcher_StringMatch{StringMatch: &matcher.StringMatcher{
				MatchPattern: &matcher.StringMatcher_Exact{Exact: key},
			}},
		}}
	}
	return made
}
