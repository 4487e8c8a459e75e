//go:build mesh

package scenarios

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/wait"
)

const splitGRPCRoute = `---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: half-grpc}
spec:
  parentRefs: [{name: gateway-sp-demo}]
  hostnames: [half-grpc.example]
  rules:
  - sessionPersistence: {sessionName: half-session}
    backendRefs:
    - {name: sp-demo, port: 80, weight: 1}
    - {name: plain, port: 80, weight: 1}
`

func accessOfRoles(t *testing.T, roles []*kube.Object) []kube.Access {
	t.Helper()
	var all []kube.Access
	for _, role := range roles {
		all = append(all, accessOfRole(t, role)...)
	}
	return all
}

// The roles of the chart allow what the controller asks for, and nothing else. No release of Gateway API has all kinds, so two are asked, and
// a controller of all namespaces only shows what it would write.
func TestControllerRolesAreWhatItDoes(t *testing.T) {
	t.Parallel()
	var roles []kube.Access
	var recorders []*kube.Recorder
	for _, c := range []struct{ release, file, apiVersion, kind string }{
		{cluster.GatewayAPI12, "policies/backendlbpolicy.yaml", backendLBPolicy, "BackendLBPolicy"},
		{cluster.GatewayAPI15, "policies/xbackendtrafficpolicy.yaml", xGroup, "XBackendTrafficPolicy"},
	} {
		s := rig.Start(t, "sp-demo", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys), scenario.WithGatewayAPI(c.release))
		s.ApplyFile(t, "routes/plain.yaml")
		s.ApplyFile(t, c.file)
		s.Apply(t, splitRoute+splitGRPCRoute)
		s.Apply(t, thirdRoute)
		controller := s.StartController(t)
		awaitCondition(t, s, c.apiVersion, c.kind, "lb-policy", "Programmed", "True", "")
		awaitCondition(t, s, canaryPolicyVersion, "CanaryPolicy", "third", "Programmed", "True", "")
		useRightsToWrite(t, s, controller)
		loseStatus(t, s, controller, c.apiVersion, c.kind)
		roles = append(roles, accessOfRoles(t, s.ControllerRoles(t))...)
		recorders = append(recorders, controller.Recorder)
		if c.release == cluster.GatewayAPI15 {
			everywhere := scenario.ControllerNamespaces()
			roles = append(roles, accessOfRoles(t, s.ControllerRoles(t, everywhere))...)
			controller := s.StartController(t, scenario.ControllerNamed("everywhere"), everywhere, scenario.ControllerArgs("--dry-run"))
			// It is ready after its lists, before its watches.
			awaitAccess(t, controller, kube.Access{Verb: "watch", Resource: "namespaces"})
			recorders = append(recorders, controller.Recorder)
		}
	}
	// What is alike for all kinds is done with one of them. XListenerSet is in neither release.
	expected := slices.DeleteFunc(slices.Clone(roles), func(access kube.Access) bool {
		return access.Resource == "xlistenersets" || access.Resource == "events" && access.Verb == "patch" ||
			access.Verb == "update" && slices.Contains([]string{"envoyfilters", "grpcroutes", "httproutes"}, access.Resource) ||
			access.Verb == "delete" && slices.Contains([]string{"envoyfilters", "grpcroutes", "wasmplugins"}, access.Resource)
	})
	expectExactly(t, expected, roles, recorders...)
}

// useRightsToWrite lets a controller create, change and delete what it generates, and write an event.
func useRightsToWrite(t *testing.T, s *scenario.Scenario, controller *scenario.Controller) {
	t.Helper()
	routes := ""
	wait.Eventually(t, "all kinds are generated", func() error {
		kinds := map[string]bool{}
		for _, obj := range s.Written(t) {
			kinds[obj.GetKind()] = true
			if obj.GetKind() == "HTTPRoute" && strings.HasPrefix(obj.GetName(), "mooring-half-") {
				routes = obj.GetName()
			}
		}
		if len(kinds) != 4 || routes == "" {
			return fmt.Errorf("%v, session routes %q", kinds, routes)
		}
		return nil
	})
	// A field that another writer adds is removed.
	const group, plugin = "extensions.istio.io/v1alpha1", "mooring-gateway-sp-demo"
	s.PatchJSONAs(t, "somebody", group, "WasmPlugin", plugin, `[{"op": "add", "path": "/spec/imagePullSecret", "value": "theirs"}]`)
	wait.Eventually(t, "the field is removed", func() error {
		if text := fmt.Sprint(s.Get(t, group, "WasmPlugin", plugin).Object["spec"]); strings.Contains(text, "theirs") {
			return fmt.Errorf("%s", text)
		}
		return nil
	})
	s.Apply(t, strings.NewReplacer("name: half", "name: refused", "sessionName: half-session", "sessionName: 'a b'").Replace(splitRoute))
	awaitAccess(t, controller, kube.Access{Verb: "create", Group: "events.k8s.io", Resource: "events"})
	s.Delete(t, gatewayGroup, "HTTPRoute", "refused")
	s.Delete(t, gatewayGroup, "HTTPRoute", "half")
	wait.Eventually(t, "the session routes are deleted with their route", func() error {
		for _, obj := range s.Written(t) {
			if obj.GetName() == routes {
				return fmt.Errorf("they are there")
			}
		}
		return nil
	})
}

// loseStatus answers that there is no status, so that the controller finds out whether the policies have gone.
func loseStatus(t *testing.T, s *scenario.Scenario, controller *scenario.Controller, apiVersion, kind string) {
	t.Helper()
	controller.Recorder.Answer(func(r kube.Request) int {
		if strings.HasSuffix(r.Resource, "/status") {
			return http.StatusNotFound
		}
		return 0
	})
	s.Patch(t, canaryPolicyVersion, "CanaryPolicy", "third", `{"spec":{"sticky":{"cookie":{"name":"another-session"}}}}`)
	s.Patch(t, apiVersion, kind, "lb-policy", `{"spec":{"sessionPersistence":{"absoluteTimeout":"2h"}}}`)
	group, _, _ := strings.Cut(apiVersion, "/")
	for _, access := range []kube.Access{
		{Verb: "get", Group: "mooring.dev", Resource: "canarypolicies"},
		{Verb: "get", Group: group, Resource: strings.ToLower(strings.TrimSuffix(kind, "y")) + "ies"},
	} {
		awaitAccess(t, controller, access)
	}
}

func awaitAccess(t *testing.T, controller *scenario.Controller, access kube.Access) {
	t.Helper()
	wait.Eventually(t, "it asks for "+access.String(), func() error {
		allowed, refused := controller.Recorder.Accesses()
		if slices.Contains(refused, access) {
			return wait.Permanent(fmt.Errorf("its roles do not allow that"))
		}
		if !slices.Contains(allowed, access) {
			return fmt.Errorf("it does not")
		}
		return nil
	})
}
