//go:build mesh

package scenarios

import (
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// What the controller does when the API server answers with errors, when its objects are refused, and when others write them. Fifty clients
// have sessions meanwhile: none of their requests fails, and none of their sessions moves.
func TestControllerAndAPIServerErrors(t *testing.T) {
	t.Parallel()
	f := startFaults(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, *faults)
	}{
		{"one list fails", oneListFails},
		{"one kind is forbidden", oneKindIsForbidden},
		{"a kind is gone for a moment", aKindIsGoneForAMoment},
		{"a list breaks off", aListBreaksOff},
		{"a start while one list fails", startWhileOneListFails},
		{"an admission policy refuses", anAdmissionPolicyRefuses},
		{"a webhook refuses", aWebhookRefuses},
		{"a webhook is away", aWebhookIsAway},
		{"filters are refused", filtersAreRefused},
		{"another writer", anotherWriter},
		{"a conflict", aConflict},
		{"an object that cannot be planned", anObjectThatCannotBePlanned},
		{"two controllers", twoControllers},
	} {
		if !t.Run(c.name, func(t *testing.T) { f.during(t, c.test) }) {
			break // the others begin where this one should have ended
		}
	}
	t.Log(f.load.Stop())
}

// faults is a gateway with sessions of a policy and of a split, under load.
type faults struct {
	s          *scenario.Scenario
	controller *scenario.Controller
	probe      *traffic.Client
	load       *traffic.Load
	seconds    int // the last absoluteTimeout
}

func startFaults(t *testing.T, opts ...scenario.Option) *faults {
	t.Helper()
	opts = append(opts, scenario.WithUniqueNamespace(), scenario.WithGatewayAPI(cluster.GatewayAPI12), scenario.WithGatewayEnv(keys))
	s := rig.Start(t, "sp-demo", opts...)
	s.ApplyFile(t, "routes/plain.yaml")
	s.Apply(t, splitRoute)
	s.ApplyFile(t, "policies/backendlbpolicy.yaml")
	f := &faults{s: s, controller: s.StartController(t), probe: s.Gateway(t, "gateway-sp-demo").Client(t), seconds: 3600}
	f.awaitMaxAge(t, 3600)
	f.load = startLoad(t, s.Gateway(t, "gateway-sp-demo").Client, "/")
	return f
}

// during runs one fault. Afterwards, changes still take effect.
func (f *faults) during(t *testing.T, fault func(*testing.T, *faults)) {
	t.Helper()
	before := f.load.Totals()
	fault(t, f)
	if t.Failed() {
		t.Log(f.controller.Process.Tail())
		return
	}
	f.expectGoesOn(t)
	f.load.AwaitAllClients(t)
	seen := f.load.Totals().Since(before)
	t.Logf("%d requests, %d failed, %d sessions moved", seen.Requests, seen.Failed, seen.Moves)
	expectNothingLost(t, t.Name(), seen)
}

// change changes the policy.
func (f *faults) change(t *testing.T) {
	t.Helper()
	f.seconds++
	f.s.Patch(t, backendLBPolicy, "BackendLBPolicy", "lb-policy", fmt.Sprintf(`{"spec":{"sessionPersistence":{"absoluteTimeout":"%ds"}}}`, f.seconds))
}

func (f *faults) awaitMaxAge(t *testing.T, seconds int) {
	t.Helper()
	firstReply(t, f.probe, fmt.Sprintf("new sessions last %d s", seconds), withMaxAge(seconds))
}

// expectGoesOn changes the policy and waits until new clients see it, and status says so.
func (f *faults) expectGoesOn(t *testing.T) {
	t.Helper()
	f.change(t)
	began := time.Now()
	f.awaitMaxAge(t, f.seconds)
	t.Logf("a change takes effect after %s", time.Since(began).Round(time.Millisecond))
	for _, condition := range []string{"Accepted", "Programmed"} {
		awaitCondition(t, f.s, backendLBPolicy, "BackendLBPolicy", "lb-policy", condition, "True", "")
	}
}

// has reports whether there are session routes of the split.
func (f *faults) hasSessionRoutes(t *testing.T) bool {
	t.Helper()
	for _, obj := range f.s.Written(t) {
		if obj.GetKind() == "HTTPRoute" {
			return true
		}
	}
	return false
}

func (f *faults) awaitSessionRoutes(t *testing.T, want bool) {
	t.Helper()
	wait.Eventually(t, fmt.Sprintf("there are session routes: %t", want), func() error {
		if have := f.hasSessionRoutes(t); have != want {
			return fmt.Errorf("there are: %t", have)
		}
		return nil
	})
}

// failing answers requests to list a resource in the API server's place. Watches end with 410, so that the controller lists again.
func failing(resource string, code int) func(kube.Request) int {
	return func(r kube.Request) int {
		switch {
		case r.Resource == resource && r.Verb == "watch":
			return http.StatusGone
		case r.Resource == resource && r.Verb == "list":
			return code
		}
		return 0
	}
}

// answerLists lets a function answer the controller's requests, and waits with asked for the second answer to a list: it comes after all that
// the controller has done about the first.
func (f *faults) answerLists(t *testing.T, answer func(kube.Request) int) (asked func()) {
	t.Helper()
	answered := make(chan struct{}, 2)
	f.controller.Recorder.Answer(func(r kube.Request) int {
		code := answer(r)
		if r.Verb == "list" && code != 0 {
			select {
			case answered <- struct{}{}:
			default:
			}
		}
		return code
	})
	return func() {
		t.Helper()
		for range cap(answered) {
			select {
			case <-answered:
			case <-time.After(wait.Timeout):
				t.Fatal("the controller does not list")
			}
		}
	}
}

// While routes cannot be listed, what is known stays in force, other kinds are followed, and a route that goes meanwhile keeps its session
// routes until the controller can know that it has gone.
func oneListFails(t *testing.T, f *faults) {
	f.whileRoutesCannotBeListed(t, failing("httproutes", http.StatusInternalServerError))
}

func oneKindIsForbidden(t *testing.T, f *faults) {
	f.whileRoutesCannotBeListed(t, failing("httproutes", http.StatusForbidden))
}

func aKindIsGoneForAMoment(t *testing.T, f *faults) {
	f.whileRoutesCannotBeListed(t, failing("httproutes", http.StatusNotFound))
}

// The first page of the list is there, with one route.
func aListBreaksOff(t *testing.T, f *faults) {
	f.controller.Recorder.LimitLists(1)
	defer f.controller.Recorder.LimitLists(0)
	fail := failing("httproutes", http.StatusInternalServerError)
	f.whileRoutesCannotBeListed(t, func(r kube.Request) int {
		if r.Verb == "list" && !r.Continued {
			return 0
		}
		return fail(r)
	})
}

func (f *faults) whileRoutesCannotBeListed(t *testing.T, answer func(kube.Request) int) {
	t.Helper()
	before := generatedVersions(t, f.s)
	f.answerLists(t, answer)()
	if after := generatedVersions(t, f.s); !maps.Equal(before, after) {
		t.Errorf("%v has become %v", before, after)
	}
	f.s.Delete(t, gatewayGroup, "HTTPRoute", "half")
	f.expectGoesOn(t)
	if !f.hasSessionRoutes(t) {
		t.Error("the session routes are deleted, although the controller cannot know that their route is")
	}
	f.controller.Recorder.Answer(nil)
	f.awaitSessionRoutes(t, false)
	f.s.Apply(t, splitRoute)
	f.awaitSessionRoutes(t, true)
}

// A controller that starts while a list fails is not ready and writes nothing.
func startWhileOneListFails(t *testing.T, f *faults) {
	f.controller.Stop(t)
	before, written := generatedVersions(t, f.s), len(f.controller.Recorder.Writes())
	f.s.Delete(t, gatewayGroup, "HTTPRoute", "half")
	asked := f.answerLists(t, failing("httproutes", http.StatusInternalServerError))
	if err := f.controller.Process.Start(); err != nil {
		t.Fatal(err)
	}
	asked()
	if code, _, err := f.controller.Probe("/readyz"); err != nil || code == http.StatusOK {
		t.Errorf("/readyz: %d, %v", code, err)
	}
	if writes, _ := writesSince(f.controller, written); len(writes) > 0 {
		t.Errorf("writes: %v", writes)
	}
	if after := generatedVersions(t, f.s); !maps.Equal(before, after) {
		t.Errorf("%v has become %v", before, after)
	}
	f.controller.Recorder.Answer(nil)
	f.controller.AwaitReady(t)
	f.awaitSessionRoutes(t, false)
	f.s.Apply(t, splitRoute)
	f.awaitSessionRoutes(t, true)
}

// What cannot be planned is reported where it stands, and concerns nothing else.
func anObjectThatCannotBePlanned(t *testing.T, f *faults) {
	before := generatedVersions(t, f.s)
	f.s.Apply(t, `apiVersion: gateway.networking.k8s.io/v1alpha2
kind: BackendLBPolicy
metadata: {name: broken}
spec:
  targetRefs: [{group: "", kind: Service, name: plain}]
  sessionPersistence: {sessionName: "a b"}
`)
	is := awaitCondition(t, f.s, backendLBPolicy, "BackendLBPolicy", "broken", "Accepted", "False", "a b")
	t.Log(is)
	f.expectGoesOn(t)
	if plain := f.s.Gateway(t, "gateway-sp-demo").ClientForHost(t, "plain.example").Get(t, "/"); plain.Status != 200 || len(plain.SetCookie) > 0 {
		t.Errorf("plain.example: status %d, Set-Cookie %q", plain.Status, plain.SetCookie)
	}
	f.s.Delete(t, backendLBPolicy, "BackendLBPolicy", "broken")
	after := generatedVersions(t, f.s)
	if len(after) != len(before) {
		t.Errorf("%v has become %v", before, after)
	}
}

// Of two controllers one writes. When it ends, the other one goes on.
func twoControllers(t *testing.T, f *faults) {
	second := f.s.StartController(t, scenario.ControllerNamed("second"))
	f.expectGoesOn(t)
	if writes := second.Recorder.Writes(); len(writes) > 0 {
		t.Errorf("the second controller writes: %v", writes)
	}
	first := f.controller
	began := time.Now()
	first.Stop(t)
	f.controller = second
	f.expectGoesOn(t)
	t.Logf("%s after SIGTERM, the other one has changed something", time.Since(began).Round(time.Millisecond))
	first.Start(t)
	written := len(first.Recorder.Writes())
	f.expectGoesOn(t)
	if writes, _ := writesSince(first, written); len(writes) > 0 {
		t.Errorf("the first controller, which is the second now, writes: %v", writes)
	}
	// A crash releases no Lease, so this takes longer.
	if setting(t, "CONTROLLER_CRASH", 0) > 0 {
		began = time.Now()
		second.Kill()
		f.controller = first
		f.expectGoesOn(t)
		t.Logf("%s after a crash, the other one has changed something", time.Since(began).Round(time.Millisecond))
		return
	}
	second.Stop(t)
	f.controller = first
}
