//go:build mesh

package scenarios

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/scenario"
)

// The VirtualServices whose session routes are compared with istiod's: Istio's samples, those of examples/ and testdata, and
// testdata/raw-routes, which uses every field. They are changed as little as possible, and always in the same way:
//
//   - each gets a name, the host of a Service of that name, the gateway of the test and the mesh;
//   - an http route without a name, or with one that another has, gets one;
//   - a destination in another namespace becomes one in the same namespace, and gets a Service if there is none;
//   - subsets without a DestinationRule in the same folder get one;
//   - DestinationRules lose their TLS settings;
//   - an http route with one destination gets a second one of weight 0, the Service spare, because only a rule with several backends has
//     session routes.
//
// A reference is the same VirtualService for another Service, in which each http route has only one destination, without its weight.

// A routeSource is a folder of VirtualServices, and the files that have their Services and DestinationRules.
type routeSource struct {
	namespace string
	dir       string
	more      []string
}

// A routeRule is an http route, after delegation.
type routeRule struct {
	name         string
	names        []string // its routes in Envoy
	destinations int
}

func (r *routeRule) has(name string) bool { return slices.Contains(r.names, name) }

// A routeCase is one VirtualService.
type routeCase struct {
	origin         string // its file and name
	name           string
	host           string
	port           int64 // on which callers in the mesh call the host
	rules          []*routeRule
	references     []string // the host of the reference of each destination
	referenceNames []string
}

type routeCases struct {
	cases      []*routeCase
	objects    []map[string]any // what the user applies, with a policy for each VirtualService
	references []map[string]any
}

func readRouteCases(t *testing.T, s *scenario.Scenario) *routeCases {
	t.Helper()
	all := &routeCases{}
	for _, source := range routeSources(t) {
		if err := s.Cluster.CreateNamespace(source.namespace); err != nil {
			t.Fatal(err)
		}
		if err := all.read(source); err != nil {
			t.Fatalf("%s: %v", source.dir, err)
		}
	}
	return all
}

// routeSources finds all folders with VirtualServices.
func routeSources(t *testing.T) []routeSource {
	t.Helper()
	samples, err := filepath.EvalSymlinks(filepath.Join(rig.Env.CRDs("istio"), "samples"))
	if err != nil {
		t.Fatal(err)
	}
	more := map[string][]string{
		filepath.Join(samples, "bookinfo/networking"): {filepath.Join(samples, "bookinfo/platform/kube/bookinfo.yaml")},
	}
	var sources []routeSource
	for prefix, root := range map[string]string{"samples": samples, "examples": rig.Env.RepositoryFile("examples"), "testdata": rig.Env.Testdata} {
		for _, dir := range foldersWithVirtualServices(t, root) {
			name := strings.ReplaceAll(strings.TrimPrefix(strings.TrimPrefix(dir, root), "/"), "/", "-")
			source := routeSource{namespace: "raw-" + prefix + "-" + name, dir: dir, more: more[dir]}
			if name == "raw-routes-virtual-services" {
				source.namespace = "raw-routes" // its objects have full names
			}
			sources = append(sources, source)
		}
	}
	slices.SortFunc(sources, func(a, b routeSource) int { return strings.Compare(a.namespace, b.namespace) })
	return sources
}

func foldersWithVirtualServices(t *testing.T, root string) []string {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), "kind: VirtualService\n") {
			found[filepath.Dir(path)] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(found))
}

// read adds the VirtualServices of a folder, with the Services, ServiceEntries and DestinationRules that come with them. Of several
// objects of one name, the first counts.
func (all *routeCases) read(source routeSource) error {
	files, err := filepath.Glob(filepath.Join(source.dir, "*.yaml"))
	if err != nil {
		return err
	}
	others := map[string]*kube.Object{}
	var services []*kube.Object
	var routes []*kube.Object
	origins := map[*kube.Object]string{}
	for _, file := range append(files, source.more...) {
		objects, err := kube.ReadFile(file)
		if err != nil {
			return err
		}
		for _, obj := range objects {
			obj.SetNamespace(source.namespace)
			id := obj.GetKind() + "/" + obj.GetName()
			switch obj.GetKind() {
			case "VirtualService":
				if field(obj.Object, "spec", "http") != nil { // else it is for TCP or TLS
					routes = append(routes, obj)
					origins[obj] = fmt.Sprintf("%s/%s, %s", filepath.Base(source.dir), filepath.Base(file), obj.GetName())
				}
			case "Service", "ServiceEntry", "DestinationRule":
				// The control planes have one address family; the other variant of such a sample has the same name.
				dualStack := field(obj.Object, "spec", "ipFamilyPolicy") == "RequireDualStack"
				if others[id] == nil && !dualStack {
					others[id] = obj
					services = append(services, obj)
				}
			}
		}
	}
	services = append(services, missingSubsets(source.namespace, routes, others)...)
	delegates := map[string]*kube.Object{}
	for _, obj := range routes {
		for _, route := range httpRoutes(obj) {
			if name, ok := field(route, "delegate", "name").(string); ok {
				delegates[name] = nil
			}
		}
	}
	for _, obj := range services {
		removeTLS(obj.Object)
		all.objects = append(all.objects, obj.Object)
	}
	all.objects = append(all.objects, newService(source.namespace, spare, 80))
	for _, obj := range routes {
		completeRoutes(obj)
		for host, ports := range shortHosts(obj) {
			if others["Service/"+host] == nil {
				others["Service/"+host] = &kube.Object{Object: newService(source.namespace, host, ports...)}
				all.objects = append(all.objects, others["Service/"+host].Object)
			}
		}
		if _, is := delegates[obj.GetName()]; is {
			delegates[obj.GetName()] = obj
			all.objects = append(all.objects, obj.Object)
		}
	}
	for _, obj := range routes {
		if delegates[obj.GetName()] == nil {
			all.add(obj, delegates, &routeCase{
				origin: origins[obj], name: fmt.Sprintf("%s-%d", obj.GetName(), len(all.cases)), port: meshPort(obj, others),
			})
		}
	}
	return nil
}

// missingSubsets returns a DestinationRule for each host whose subsets are in another folder.
func missingSubsets(namespace string, routes []*kube.Object, others map[string]*kube.Object) []*kube.Object {
	names := map[string]map[string]bool{}
	for _, obj := range routes {
		for _, route := range httpRoutes(obj) {
			for _, destination := range destinationsOf(route) {
				host, _ := field(destination, "destination", "host").(string)
				if subset, ok := field(destination, "destination", "subset").(string); ok {
					if names[host] == nil {
						names[host] = map[string]bool{}
					}
					names[host][subset] = true
				}
			}
		}
	}
	for _, obj := range others {
		if host, ok := field(obj.Object, "spec", "host").(string); ok {
			short, _, _ := strings.Cut(host, ".")
			delete(names, host)
			delete(names, short)
		}
	}
	var rules []*kube.Object
	for host, subsets := range names {
		var list []any
		for _, name := range slices.Sorted(maps.Keys(subsets)) {
			list = append(list, map[string]any{"name": name, "labels": map[string]any{"version": name}})
		}
		rule := kube.Ref("networking.istio.io/v1", "DestinationRule", namespace, "subsets-of-"+host)
		rule.Object["spec"] = map[string]any{"host": host, "subsets": list}
		rules = append(rules, rule)
	}
	return rules
}

// removeTLS removes the TLS settings of a DestinationRule: the clusters would wait for certificates that nothing here serves.
func removeTLS(value any) {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			removeTLS(item)
		}
	case map[string]any:
		delete(value, "tls")
		for _, item := range value {
			removeTLS(item)
		}
	}
}

// spare is the Service of the second destination.
const spare = "spare"

func newService(namespace, name string, ports ...int64) map[string]any {
	var list []any
	for _, port := range ports {
		list = append(list, map[string]any{"name": fmt.Sprintf("http-%d", port), "port": port})
	}
	return map[string]any{
		"apiVersion": "v1", "kind": "Service",
		"metadata": map[string]any{"name": name, "namespace": namespace},
		"spec":     map[string]any{"selector": map[string]any{"app": name}, "ports": list},
	}
}

func httpRoutes(obj *kube.Object) []map[string]any {
	list, _ := field(obj.Object, "spec", "http").([]any)
	var routes []map[string]any
	for _, route := range list {
		routes = append(routes, route.(map[string]any))
	}
	return routes
}

func destinationsOf(route map[string]any) []any {
	list, _ := route["route"].([]any)
	return list
}

// shortHosts returns the destinations without a dot in their name, each with the ports that they name, or else 80.
func shortHosts(obj *kube.Object) map[string][]int64 {
	hosts := map[string][]int64{}
	for _, route := range httpRoutes(obj) {
		for _, destination := range destinationsOf(route) {
			host, _ := field(destination, "destination", "host").(string)
			if strings.Contains(host, ".") {
				continue
			}
			port, named := field(destination, "destination", "port", "number").(int64)
			ports := hosts[host]
			if named && !slices.Contains(ports, port) {
				ports = append(ports, port)
			}
			hosts[host] = ports
		}
	}
	for host, ports := range hosts {
		if len(ports) == 0 {
			hosts[host] = []int64{80}
		}
	}
	return hosts
}

// meshPort returns the port on which callers call a host: the only port of a Service to which a destination without a port leads. To the
// same port istiod then sends requests.
func meshPort(obj *kube.Object, others map[string]*kube.Object) int64 {
	for _, route := range httpRoutes(obj) {
		for _, destination := range destinationsOf(route) {
			host, _ := field(destination, "destination", "host").(string)
			service := others["Service/"+host]
			if service == nil || field(destination, "destination", "port") != nil {
				continue
			}
			if ports, _ := field(service.Object, "spec", "ports").([]any); len(ports) == 1 {
				return field(ports[0], "port").(int64)
			}
		}
	}
	return 80
}

// completeRoutes gives each http route a unique name, and each that has one destination a second one.
func completeRoutes(obj *kube.Object) {
	names := map[any]bool{}
	for i, route := range httpRoutes(obj) {
		for _, one := range destinationsOf(route) {
			destination := field(one, "destination").(map[string]any)
			name, namespace, ok := strings.Cut(strings.TrimSuffix(destination["host"].(string), ".svc.cluster.local"), ".")
			if ok && strings.HasSuffix(destination["host"].(string), ".svc.cluster.local") && namespace != obj.GetNamespace() {
				destination["host"] = name
			}
		}
		if route["name"] == nil || names[route["name"]] {
			route["name"] = fmt.Sprintf("route-%d", i)
		}
		names[route["name"]] = true
		if list := destinationsOf(route); len(list) == 1 {
			list[0].(map[string]any)["weight"] = int64(100)
			other := map[string]any{"host": spare, "port": map[string]any{"number": int64(80)}}
			route["route"] = append(list, map[string]any{"destination": other, "weight": int64(0)})
		}
	}
}

// add adds a VirtualService with its policy, and its references.
func (all *routeCases) add(root *kube.Object, delegates map[string]*kube.Object, one *routeCase) {
	name := one.name
	one.rules = rulesOf(root, delegates)
	all.cases = append(all.cases, one)
	most := 0
	for _, rule := range one.rules {
		most = max(most, rule.destinations)
	}
	one.host = attachRoute(root, name)
	all.objects = append(all.objects, newService(root.GetNamespace(), name, one.port))
	all.objects = append(all.objects, root.Object, map[string]any{
		"apiVersion": "mooring.dev/v1alpha1", "kind": "CanaryPolicy",
		"metadata": map[string]any{"name": name, "namespace": root.GetNamespace()},
		"spec": map[string]any{
			"targetRef": map[string]any{"group": "networking.istio.io", "kind": "VirtualService", "name": name},
			"sticky":    map[string]any{},
		},
	})
	for position := range most {
		suffix := fmt.Sprintf("-destination-%d", position)
		reference := root.DeepCopy()
		keepDestination(reference, position)
		one.referenceNames = append(one.referenceNames, name+suffix)
		one.references = append(one.references, attachRoute(reference, name+suffix))
		all.references = append(all.references, newService(root.GetNamespace(), name+suffix, one.port))
		for _, route := range httpRoutes(reference) {
			delegate, _ := route["delegate"].(map[string]any)
			if delegate == nil {
				continue
			}
			own := delegates[delegate["name"].(string)].DeepCopy()
			own.SetName(own.GetName() + suffix)
			delegate["name"] = own.GetName()
			keepDestination(own, position)
			all.references = append(all.references, own.Object)
		}
		all.references = append(all.references, reference.Object)
	}
}

// attachRoute gives a VirtualService a name, the host of a Service of that name, the gateway and the mesh. It returns the full
// name of the host.
func attachRoute(obj *kube.Object, name string) string {
	obj.SetName(name)
	spec := obj.Object["spec"].(map[string]any)
	spec["hosts"], spec["gateways"] = []any{name}, []any{"raw-routes/raw", "mesh"}
	return fmt.Sprintf("%s.%s.svc.cluster.local", name, obj.GetNamespace())
}

// keepDestination leaves one destination in each http route, without a weight.
func keepDestination(obj *kube.Object, position int) {
	for _, route := range httpRoutes(obj) {
		if list := destinationsOf(route); len(list) > 0 {
			kept := list[min(position, len(list)-1)].(map[string]any)
			delete(kept, "weight")
			route["route"] = []any{kept}
		}
	}
}

// rulesOf returns the http routes with the names that istiod gives them.
func rulesOf(root *kube.Object, delegates map[string]*kube.Object) []*routeRule {
	var rules []*routeRule
	add := func(name string, route map[string]any) {
		rule := &routeRule{name: name, names: []string{name}, destinations: len(destinationsOf(route))}
		matches, _ := route["match"].([]any)
		for _, match := range matches {
			if own, ok := field(match, "name").(string); ok {
				rule.names = append(rule.names, name+"."+own)
			}
		}
		rules = append(rules, rule)
	}
	for _, route := range httpRoutes(root) {
		name := route["name"].(string)
		if delegate, ok := field(route, "delegate", "name").(string); ok {
			for _, own := range httpRoutes(delegates[delegate]) {
				add(name+"-"+own["name"].(string), own)
			}
		} else {
			add(name, route)
		}
	}
	return rules
}
