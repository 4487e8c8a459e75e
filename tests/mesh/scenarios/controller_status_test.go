//go:build mesh

package scenarios

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/wait"
)

// An ancestor is an entry in the status of a policy.
type ancestor struct {
	AncestorRef    struct{ Kind, Name string }
	ControllerName string
	Conditions     []struct {
		Type, Status, Reason, Message, LastTransitionTime string
		ObservedGeneration                                int64
	}
}

func (a ancestor) String() string {
	text := a.AncestorRef.Kind + " " + a.AncestorRef.Name
	for _, c := range a.Conditions {
		text += fmt.Sprintf(", %s=%s %s", c.Type, c.Status, c.Reason)
	}
	return text
}

// ancestors returns the entries of the controller, and those of others as they are.
func ancestors(t *testing.T, policy *kube.Object) (ours []ancestor, others []string) {
	t.Helper()
	var status struct{ Ancestors []json.RawMessage }
	text, err := json.Marshal(policy.Object["status"])
	if err == nil {
		err = json.Unmarshal(text, &status)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range status.Ancestors {
		var entry ancestor
		if err := json.Unmarshal(raw, &entry); err != nil {
			t.Fatal(err)
		}
		if entry.ControllerName == controllerName {
			ours = append(ours, entry)
		} else {
			others = append(others, string(raw))
		}
	}
	return ours, others
}

// awaitAncestors waits until the controller's entries are these, about the current generation.
func awaitAncestors(t *testing.T, s *scenario.Scenario, kind, name string, expected ...string) []ancestor {
	t.Helper()
	apiVersion := xGroup
	if kind == "CanaryPolicy" {
		apiVersion = "mooring.dev/v1alpha1"
	}
	var ours []ancestor
	wait.Eventually(t, fmt.Sprintf("the status of %s %s is %q", kind, name, expected), func() error {
		policy := s.Get(t, apiVersion, kind, name)
		ours, _ = ancestors(t, policy)
		texts := []string{}
		for _, entry := range ours {
			for _, c := range entry.Conditions {
				if c.ObservedGeneration != policy.GetGeneration() {
					return fmt.Errorf("generation %d, observed %d", policy.GetGeneration(), c.ObservedGeneration)
				}
			}
			texts = append(texts, entry.String())
		}
		if strings.Join(texts, "\n") != strings.Join(expected, "\n") {
			return fmt.Errorf("it is %q", texts)
		}
		return nil
	})
	return ours
}

// awaitEvent waits for an event about an object, whose note has this text.
func awaitEvent(t *testing.T, s *scenario.Scenario, kind, name, reason, text string) {
	t.Helper()
	wait.Eventually(t, fmt.Sprintf("an event %s about %s %s", reason, kind, name), func() error {
		events := kubectl(t, s, "get", "events", "--field-selector", "involvedObject.kind="+kind+",involvedObject.name="+name+",reason="+reason,
			"--output", `jsonpath={range .items[*]}{.message}{"\n"}{end}`)
		if !strings.Contains(events, text) {
			return fmt.Errorf("the events are %q", events)
		}
		return nil
	})
}

const (
	applies    = ", Accepted=True Accepted, Programmed=True Programmed"
	conflicted = ", Accepted=False Conflicted, Programmed=False Conflicted"
	invalid    = ", Accepted=False Invalid, Programmed=False Invalid"
	notFound   = ", Accepted=False TargetNotFound, Programmed=False TargetNotFound"
)

// The status of a policy says what happens to it on each Gateway. istiod writes its own entries into the same list.
func TestControllerReportsTheStateOfPolicies(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "sp-demo", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	s.Apply(t, `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: second}
spec:
  gatewayClassName: istio
  listeners: [{name: http, port: 80, protocol: HTTP}]
`)
	attach := func(gateways ...string) {
		parents := []string{}
		for _, gateway := range gateways {
			parents = append(parents, fmt.Sprintf(`{"name":%q}`, gateway))
		}
		s.Patch(t, gatewayGroup, "HTTPRoute", "sp-demo", `{"spec":{"parentRefs":[`+strings.Join(parents, ",")+`]}}`)
	}
	attach("gateway-sp-demo", "second")
	s.ApplyFile(t, "policies/xbackendtrafficpolicy.yaml")
	controller := s.StartController(t)
	first, second := "Gateway gateway-sp-demo", "Gateway second"

	kubectl(t, s, "wait", "xbackendtrafficpolicy/lb-policy", "--timeout", wait.Timeout.String(),
		`--for=jsonpath={.status.ancestors[?(@.ancestorRef.name=="gateway-sp-demo")].conditions[?(@.type=="Programmed")].status}=True`)
	awaitAncestors(t, s, "XBackendTrafficPolicy", "lb-policy", first+applies, second+applies)

	// Another controller has an entry, with fields in an order of its own.
	const theirs = `{"controllerName":"example.com/other","ancestorRef":{"name":"gateway-sp-demo","group":"gateway.networking.k8s.io","kind":"Gateway"},` +
		`"conditions":[{"type":"Accepted","status":"Unknown","reason":"Other","message":"of another","lastTransitionTime":"2026-01-01T00:00:00Z"}]}`
	kubectl(t, s, "patch", "xbackendtrafficpolicy", "lb-policy", "--subresource=status", "--type=json",
		"--patch", `[{"op":"add","path":"/status/ancestors/0","value":`+theirs+`}]`)
	_, before := ancestors(t, s.Get(t, xGroup, "XBackendTrafficPolicy", "lb-policy"))
	attach("gateway-sp-demo")
	awaitAncestors(t, s, "XBackendTrafficPolicy", "lb-policy", first+applies)
	_, after := ancestors(t, s.Get(t, xGroup, "XBackendTrafficPolicy", "lb-policy"))
	if len(before) < 2 || strings.Join(before, "\n") != strings.Join(after, "\n") {
		t.Errorf("the entries of others were %s\nand are %s", before, after)
	}

	s.Apply(t, policyFor("later", "sp-demo")+"---"+policyFor("lost", "no-such-service"))
	awaitAncestors(t, s, "XBackendTrafficPolicy", "lost", "Service no-such-service"+notFound)
	awaitEvent(t, s, "XBackendTrafficPolicy", "lost", "TargetNotFound", "no-such-service, which is not in the cluster")
	awaitAncestors(t, s, "XBackendTrafficPolicy", "later", first+conflicted)
	awaitEvent(t, s, "XBackendTrafficPolicy", "later", "Conflicted", "lb-policy targets the Service")

	domain := func(value string) {
		s.Patch(t, xGroup, "XBackendTrafficPolicy", "lost", `{"spec":{"targetRefs":[{"group":"","kind":"Service","name":"sp-demo"}]},
			"metadata":{"annotations":{"mooring.dev/cookie-same-site":`+value+`}}}`)
	}
	domain(`"Sideways"`)
	wrong := awaitAncestors(t, s, "XBackendTrafficPolicy", "lost", first+invalid)[0].Conditions[0]
	if !strings.Contains(wrong.Message, "error[Invalid]") || !strings.Contains(wrong.Message, "Sideways") {
		t.Errorf("the message does not have the finding: %s", wrong.Message)
	}
	awaitEvent(t, s, "XBackendTrafficPolicy", "lost", "Invalid", "Sideways")
	domain("null")
	fixed := awaitAncestors(t, s, "XBackendTrafficPolicy", "lost", first+conflicted)[0].Conditions[0]
	if fixed.LastTransitionTime != wrong.LastTransitionTime {
		t.Errorf("Accepted is False since %s, and since %s after a change of the reason", wrong.LastTransitionTime, fixed.LastTransitionTime)
	}

	expectCanaryColumns(t, s, first)
	expectNoNeedlessWrites(t, s, controller)
}

// policyFor returns a session policy for a Service.
func policyFor(name, service string) string {
	return fmt.Sprintf(`
apiVersion: %s
kind: XBackendTrafficPolicy
metadata: {name: %s}
spec:
  targetRefs: [{group: "", kind: Service, name: %s}]
  sessionPersistence: {sessionName: %[2]s}
`, xGroup, name, service)
}

// expectCanaryColumns applies a CanaryPolicy and expects what `kubectl wait` and `kubectl get` say about it.
func expectCanaryColumns(t *testing.T, s *scenario.Scenario, gateway string) {
	t.Helper()
	s.Apply(t, `
apiVersion: mooring.dev/v1alpha1
kind: CanaryPolicy
metadata: {name: testers}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: sp-demo}
  rules:
  - name: testers
    optIn: {header: x-tester}
    backendRef: {name: sp-demo}
`)
	kubectl(t, s, "wait", "--timeout", wait.Timeout.String(), "--for=condition=Programmed", "canarypolicy/testers")
	awaitAncestors(t, s, "CanaryPolicy", "testers", gateway+applies)
	lines := strings.Split(strings.TrimSpace(kubectl(t, s, "get", "canarypolicies")), "\n")
	row := strings.Fields(lines[len(lines)-1])
	if got := strings.Join(strings.Fields(lines[0]), " "); got != "NAME TARGET ACCEPTED PROGRAMMED REASON AGE" {
		t.Errorf("columns %s", got)
	}
	if got := strings.Join(row[:len(row)-1], " "); got != "testers sp-demo True True Programmed" {
		t.Errorf("row %s", got)
	}
	t.Logf("kubectl get canarypolicies:\n%s", strings.Join(lines, "\n"))
	s.Patch(t, "mooring.dev/v1alpha1", "CanaryPolicy", "testers", `{"spec":{"targetRef":{"name":"none"}}}`)
	kubectl(t, s, "wait", "--timeout", wait.Timeout.String(), "--for=condition=Accepted=false", "canarypolicy/testers")
	awaitAncestors(t, s, "CanaryPolicy", "testers", "HTTPRoute none"+notFound)
}

// expectNoNeedlessWrites makes a change that does not concern a policy, and fails if its status was written again.
func expectNoNeedlessWrites(t *testing.T, s *scenario.Scenario, controller *scenario.Controller) {
	t.Helper()
	count := func() (writes int) {
		for _, write := range controller.Recorder.Writes() {
			if write.Name == "lb-policy" {
				writes++
			}
		}
		return writes
	}
	before := count()
	s.Apply(t, policyFor("another", "not-there-either"))
	awaitAncestors(t, s, "XBackendTrafficPolicy", "another", "Service not-there-either"+notFound)
	if after := count(); after != before || before == 0 {
		t.Errorf("the status of a policy was written %d times, and %d times after a change of another", before, after)
	}
	t.Logf("writes of lb-policy's status: %d", before)
}
