//go:build mesh

package scenarios

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// A real Flagger delivers three releases on real workload controllers, while the controller of Mooring keeps the sessions: one succeeds,
// one fails, and one starts.

var (
	deploymentKind = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	canaryKind     = schema.GroupVersionKind{Group: "flagger.app", Version: "v1beta1", Kind: "Canary"}
)

// sessionsOff is for a comparison: the same releases, without policies and the controller.
func sessionsOff() bool { return os.Getenv("MESH_WITHOUT_MOORING") != "" }

func TestControllerFlaggerHTTPRoute(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "flagger", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	deliver(t, s, s.Gateway(t, "web"), "http-route", schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"})
}

// A flaggerRun is an example whose Canary Flagger has initialized, with v1.
type flaggerRun struct {
	s       *scenario.Scenario
	flagger *scenario.Flagger
	gateway *gateway.Gateway
	gate    *gate
	d       *delivery
	away    []*traffic.Client // users of v3 who come back after the rollback
	weights *weightLog
}

// deliver runs the releases of a Canary.
func deliver(t *testing.T, s *scenario.Scenario, gateway *gateway.Gateway, folder string, routes schema.GroupVersionResource) {
	t.Helper()
	r := startFlagger(t, s, folder)
	r.gateway, r.weights = gateway, watchWeights(t, s, routes)
	newClient := func(t testing.TB) *traffic.Client { return gateway.ClientForHost(t, "shop.example.com") }
	if sessionsOff() {
		r.awaitWeights(t, 100, 0)
		r.d = startDeliveryWithoutSessions(t, newClient, "/")
	} else {
		controller := s.StartController(t)
		r.apply(t, folder+"/policy.yaml")
		r.d = startDelivery(t, newClient, "/")
		r.d.writes = func() int { return len(controller.Recorder.Writes()) }
	}
	r.succeed(t)
	r.fail(t)
	r.startNext(t)
}

// succeed is a release with two steps. Users of v1 stay on it until its pods are replaced; users of the canary stay on v2 throughout.
func (r *flaggerRun) succeed(t *testing.T) {
	t.Helper()
	d := r.d
	expectMoves(t, d.during(t, "v2 starts", func() { r.begin(t, "v2") }))
	expectMoves(t, d.during(t, "v2 at 25", func() { r.step(t, "Progressing", 25, 0); r.awaitWeights(t, 75, 25) }))
	t.Logf("the first user of v2 came %d ms after Flagger had written the weight",
		d.users.Answered("v2").First.Sub(r.weights.at(25)).Milliseconds())
	d.expectShare(t, "v2 at 25", map[string]int{"v1": 75, "v2": 25})
	expectMoves(t, d.during(t, "v2 at 50", func() { r.step(t, "Progressing", 50, 0); r.awaitWeights(t, 50, 50) }))
	r.join(t)
	d.expectShare(t, "v2 at 50", map[string]int{"v1": 50, "v2": 50})
	promotion := d.during(t, "v2 is promoted", func() { r.step(t, "Promoting", 0, 0); r.s.AwaitComplete(t, "web-primary") })
	// While the pods of the primary are replaced, its users see both versions. Those of the canary see v2 only.
	expectMoves(t, promotion, "v1→v2", "v2→v1")
	for move, n := range promotion.movesFromPod {
		if strings.HasSuffix(move, "v2→v1") && !strings.HasPrefix(move, "web-primary-") {
			t.Errorf("v2 is promoted: %d moves of users of the canary: %s", n, move)
		}
	}
	expectMoves(t, d.during(t, "v2 is final", func() { r.step(t, "Finalising", 0, 0); r.awaitWeights(t, 100, 0) }))
	expectMoves(t, d.during(t, "the canary of v2 ends", func() { r.step(t, "Succeeded", 0, 0); r.s.AwaitComplete(t, "web") }))
	d.awaitAllOn(t, "v2")
}

// fail is a release in which a check fails. All users of v3 leave it at once.
func (r *flaggerRun) fail(t *testing.T) {
	t.Helper()
	d := r.d
	expectMoves(t, d.during(t, "v3 starts", func() { r.begin(t, "v3") }))
	expectMoves(t, d.during(t, "v3 at 25", func() { r.step(t, "Progressing", 25, 0); r.awaitWeights(t, 75, 25) }))
	expectMoves(t, d.during(t, "v3 at 50", func() { r.step(t, "Progressing", 50, 0); r.awaitWeights(t, 50, 50) }))
	r.join(t)
	if !sessionsOff() {
		r.away = d.leave(t, "v3", 12)
	}
	r.gate.closed.Store(true)
	expectMoves(t, d.during(t, "a check of v3 fails", func() { r.step(t, "Progressing", 50, 1) }))
	rollback := d.during(t, "v3 is rolled back", func() {
		r.step(t, "Failed", 0, 0)
		r.awaitWeights(t, 100, 0)
		d.awaitAllOn(t, "v2")
	})
	r.gate.closed.Store(false)
	expectMoves(t, rollback, "v3→v2")
	if !sessionsOff() {
		t.Logf("the last answer of v3 came %d ms after Flagger had written the weight 0", d.last("v3").Sub(r.weights.at(0)).Milliseconds())
	}
	// Flagger takes the weight and the pods away at the same time, so a request of each worker and pause of the failover may fail
	// before the sessions are released.
	if failed, most := sum(rollback.failures), workers*intervals(rollback.took); failed > most {
		t.Errorf("%d requests of visitors failed, at most %d may: %v", failed, most, rollback.failures)
	}
	r.s.AwaitComplete(t, "web")
}

// startNext starts a release, on which no user of the one that has failed may be.
func (r *flaggerRun) startNext(t *testing.T) {
	t.Helper()
	d := r.d
	expectMoves(t, d.during(t, "v4 starts", func() { r.begin(t, "v4") }))
	expectMoves(t, d.during(t, "v4 at 25", func() { r.step(t, "Progressing", 25, 0); r.awaitWeights(t, 75, 25) }))
	d.expectShare(t, "v4 at 25", map[string]int{"v2": 75, "v4": 25})
	back := d.comeBack(t, r.away)
	t.Logf("users of v3 who were away during the rollback are on %v", back)
	if back["v4"] > 0 && back["v2"] == 0 { // by chance once in 16 million times
		t.Errorf("all users of v3 who were away during the rollback are on v4, like sessions of the canary")
	}
	d.expectNoFailures(t, "v3 is rolled back: visitors")
}

// startFlagger applies the workload and the Canary of an example, and waits until Flagger has initialized it.
func startFlagger(t *testing.T, s *scenario.Scenario, folder string) *flaggerRun {
	t.Helper()
	r := &flaggerRun{s: s, gate: startGate(t)}
	s.InstallFlagger(t)
	s.RunWorkloads(t)
	r.apply(t, "app.yaml")
	r.apply(t, folder+"/canary.yaml")
	r.patch(t, canaryKind, fmt.Sprintf(
		`{"spec":{"analysis":{"interval":"1000m","threshold":1,"metrics":null,"webhooks":[{"name":"gate","type":"rollout","url":%q,"retries":0}]}}}`, r.gate.URL))
	s.AwaitComplete(t, "web")
	r.flagger = s.StartFlagger(t)
	r.flagger.AwaitInitialized(t, "web")
	return r
}

func (r *flaggerRun) apply(t *testing.T, file string) {
	t.Helper()
	if err := r.s.TryApplyFile(t, rig.Env.RepositoryFile("examples/flagger/"+file)); err != nil {
		t.Fatal(err)
	}
}

func (r *flaggerRun) patch(t *testing.T, kind schema.GroupVersionKind, body string) {
	t.Helper()
	patch := kube.Patch{Kind: kind, Namespace: r.s.Namespace, Name: "web", Type: types.MergePatchType, Body: body}
	if _, err := r.s.Cluster.Kube.Patch(patch); err != nil {
		t.Fatal(err)
	}
}

// begin starts a release, as a pipeline does: Flagger sees it, and its pods are ready.
func (r *flaggerRun) begin(t *testing.T, version string) {
	t.Helper()
	r.patch(t, deploymentKind, fmt.Sprintf(`{"spec":{"template":{"metadata":{"labels":{"version":%[1]q}},
		"spec":{"containers":[{"name":"web","image":"registry.example.com/web:%[1]s","ports":[{"name":"http","containerPort":8080}]}]}}}}`, version))
	r.step(t, "Progressing", 0, 0)
	r.s.AwaitComplete(t, "web")
}

// step is one step of Flagger.
func (r *flaggerRun) step(t *testing.T, phase string, weight, failed int64) {
	t.Helper()
	r.flagger.Advance(t, "web", scenario.CanaryStatus{Phase: phase, Weight: weight, Failed: failed})
}

func (r *flaggerRun) join(t *testing.T) {
	t.Helper()
	if !sessionsOff() {
		r.d.join(t)
	}
}

// awaitWeights waits until all workers of the gateway have the weights.
func (r *flaggerRun) awaitWeights(t *testing.T, primary, canary int) {
	t.Helper()
	awaitSplit(t, r.gateway.Envoy, map[string]int{"web-primary": primary, "web-canary": canary})
}

// A gate is a webhook that Flagger asks before each step.
type gate struct {
	*httptest.Server
	closed atomic.Bool
}

func startGate(t *testing.T) *gate {
	g := &gate{}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if g.closed.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(g.Close)
	return g
}

// A weightLog notes when a tool has written each weight of the canary into its route.
type weightLog struct {
	mu   sync.Mutex
	last int64
	when map[int64]time.Time // the last time of each weight
}

// watchWeights starts a log of the only route web of the scenario.
func watchWeights(t *testing.T, s *scenario.Scenario, routes schema.GroupVersionResource) *weightLog {
	w := &weightLog{last: -1, when: map[int64]time.Time{}}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	changed := func() {
		at := time.Now()
		objects, err := s.Cluster.Kube.List(routes)
		if err != nil {
			return // the test ends
		}
		for _, obj := range objects {
			if weight, ok := canaryWeight(obj); ok && obj.GetNamespace() == s.Namespace && obj.GetName() == "web" {
				w.note(weight, at)
			}
		}
	}
	go func() {
		for ctx.Err() == nil {
			_ = s.Cluster.Kube.Watch(ctx, routes, changed)
		}
	}()
	return w
}

func (w *weightLog) note(weight int64, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if weight != w.last {
		w.last, w.when[weight] = weight, at
	}
}

func (w *weightLog) at(weight int64) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.when[weight]
}
