//go:build mesh

package scenarios

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// Objects are made, changed and deleted at random, faster than the controller plans. At pauses, what it has applied is what `mooring generate`
// prints for the same cluster. Fifty clients of a route that stays have sessions: none of their requests fails, and none of their sessions
// moves. CONTROLLER_CHURN is how many seconds it lasts; MESH_SEED repeats a run.
func TestControllerKeepsUpWithChurn(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	if text := os.Getenv("MESH_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("MESH_SEED=%d", seed)
	s := rig.Start(t, "random", scenario.WithNamespace("random"), scenario.WithGatewayEnv(keys))
	c := &churn{
		randomRoutes: &randomRoutes{rand.New(rand.NewPCG(seed, seed))}, s: s, have: map[string]string{}, wrong: map[string]bool{}, operations: map[string]int{},
		controller: s.StartController(t, scenario.ControllerNamespaces("random", "random-b")),
	}
	s.Apply(t, stayingRoute)
	load := startLoad(t, func(t testing.TB) *traffic.Client { return s.Gateway(t, "front").ClientForHost(t, "stays.example") }, "/")
	before := load.Totals()
	lasts := time.Duration(setting(t, "CONTROLLER_CHURN", 15)) * time.Second
	began := time.Now()
	for time.Since(began) < lasts {
		for range 10 + c.IntN(40) {
			c.operate(t)
		}
		c.compare(t, time.Since(began))
		if t.Failed() {
			t.Log(c.controller.Process.Tail())
			break
		}
	}
	load.AwaitAllClients(t)
	expectNothingLost(t, "the route that stays", load.Totals().Since(before))
	t.Log(load.Stop().Since(before)) // before the route was in force, there was no session
	// Without the objects of the churn, nothing can be wrong, and nothing else may be left.
	for _, key := range slices.Sorted(maps.Keys(c.have)) {
		c.remove(t, key)
	}
	c.compare(t, time.Since(began))
	if last := c.samples[len(c.samples)-1]; !last.complete {
		t.Errorf("not even the objects of the test itself are right: %s", c.lastFindings)
	}
	c.report(t)
}

const stayingRoute = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: stays}
spec:
  parentRefs: [{name: front}]
  hostnames: [stays.example]
  rules:
  - sessionPersistence: {sessionName: stays-session}
    backendRefs:
    - {name: web-v1, port: 80, weight: 1}
    - {name: web-v2, port: 80, weight: 1}
`

// churn is objects of the user that come and go.
type churn struct {
	*randomRoutes
	s          *scenario.Scenario
	controller *scenario.Controller
	have       map[string]string // the API version of each object that is there, by kind, namespace and name
	wrong      map[string]bool   // those of them that are wrong
	mending    bool              // what is written now is right
	erring     bool              // what is written now is wrong
	made       int
	operations map[string]int
	samples    []churnSample

	lastFindings string // of the command
}

// A churnSample is what the controller had used at a pause.
type churnSample struct {
	after           time.Duration
	memory, objects int
	settled         time.Duration
	writes          int
	complete        bool // there was nothing wrong
}

// operate makes, changes or deletes an object.
func (c *churn) operate(t *testing.T) {
	t.Helper()
	existing := slices.Sorted(maps.Keys(c.have))
	// The more there are, the more are deleted.
	if len(existing) > 0 && c.IntN(60) < len(existing) {
		c.operations["delete"]++
		c.remove(t, c.one(existing...))
		return
	}
	if len(existing) > 0 && c.IntN(2) == 0 {
		c.operations["change"]++
		c.write(t, c.one(existing...))
		return
	}
	c.operations["make"]++
	c.made++
	kind := c.one("HTTPRoute", "HTTPRoute", "HTTPRoute", "XBackendTrafficPolicy", "CanaryPolicy", "Service")
	c.write(t, fmt.Sprintf("%s %s/%s-%d", kind, c.one("random", "random-b"), c.one("a", "m", "mo", "z"), c.made))
}

// apiVersions are those of the kinds of a churn.
var apiVersions = map[string]string{
	"HTTPRoute": gatewayGroup, "XBackendTrafficPolicy": xGroup, "CanaryPolicy": "mooring.dev/v1alpha1", "Service": "v1",
}

// write applies an object of this key with a random specification. Some of them are wrong.
func (c *churn) write(t *testing.T, key string) {
	t.Helper()
	kind, name, _ := strings.Cut(key, " ")
	namespace, name, _ := strings.Cut(name, "/")
	obj := kube.Ref(apiVersions[kind], kind, namespace, name)
	c.erring = false
	if c.IntN(4) == 0 {
		obj.SetAnnotations(map[string]string{"mooring.dev/idle-timeout": c.oneOrWrong("soon", "10m", "1h", "2h")})
	}
	if c.IntN(4) == 0 {
		obj.SetLabels(map[string]string{"mooring.dev/churn": strconv.Itoa(c.IntN(1000))}) // of no meaning
	}
	obj.Object["spec"] = c.spec(kind, namespace, name)
	if _, err := c.s.Cluster.Kube.Apply(normal(t, obj)); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	c.have[key], c.wrong[key] = obj.GetAPIVersion(), c.erring
}

// oneOrWrong returns one of the right values, or the wrong one.
func (c *churn) oneOrWrong(wrong string, right ...string) string {
	if len(right) == 0 || !c.mending && c.IntN(len(right)+1) == 0 {
		c.erring = true
		return wrong
	}
	return c.one(right...)
}

// normal passes an object through JSON, as its numbers are to be.
func normal(t *testing.T, obj *kube.Object) *kube.Object {
	t.Helper()
	text, err := json.Marshal(obj.Object)
	if err != nil {
		t.Fatal(err)
	}
	result := &kube.Object{}
	if err := result.UnmarshalJSON(text); err != nil {
		t.Fatal(err)
	}
	return result
}

func (c *churn) spec(kind, namespace, name string) fields {
	switch kind {
	case "Service":
		return fields{"selector": fields{"app": "web", "version": c.one("v1", "v2")}, "ports": []any{fields{"name": "http", "port": 80, "targetPort": 8080}}}
	case "XBackendTrafficPolicy":
		return fields{
			"targetRefs":         []any{fields{"group": "", "kind": "Service", "name": c.service(namespace)}},
			"sessionPersistence": fields{"sessionName": c.oneOrWrong("a b", "one", "two") + "-session", "absoluteTimeout": c.one("1h", "10m")},
		}
	case "CanaryPolicy":
		return fields{
			"targetRef": fields{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": c.route(namespace)},
			"rules": []any{fields{"name": "testers",
				"matches": []any{fields{"header": fields{"name": "x-canary", "value": c.one("always", "yes")}}}, "backendRef": fields{"name": c.service(namespace)},
			}},
		}
	}
	var rules []any
	for rule := range 1 + c.IntN(3) {
		written := c.rule(fmt.Sprintf("%s-%d", name, rule))
		if c.IntN(3) == 0 {
			written["backendRefs"].([]any)[0].(fields)["name"] = c.service(namespace)
		}
		rules = append(rules, written)
	}
	return fields{
		"hostnames": []any{c.one("random.example", "more.example")}, "parentRefs": []any{fields{"name": "front", "namespace": "random"}}, "rules": rules,
	}
}

// service returns the name of a Service, which may be missing.
func (c *churn) service(namespace string) string {
	return c.named("Service", namespace, "web-v1", "web-v2")
}

func (c *churn) route(namespace string) string { return c.named("HTTPRoute", namespace) }

func (c *churn) named(kind, namespace string, names ...string) string {
	for _, key := range slices.Sorted(maps.Keys(c.have)) {
		if name, found := strings.CutPrefix(key, kind+" "+namespace+"/"); found {
			names = append(names, name)
		}
	}
	return c.oneOrWrong("missing", names...)
}

func (c *churn) remove(t *testing.T, key string) {
	t.Helper()
	kind, name, _ := strings.Cut(key, " ")
	namespace, name, _ := strings.Cut(name, "/")
	if err := c.s.Cluster.Kube.Delete(kube.Ref(c.have[key], kind, namespace, name)); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	delete(c.have, key)
	delete(c.wrong, key)
}

// compare waits until what is applied is what the command generates. While an object is wrong, the controller deletes less than it could, so
// every other time all that is wrong is mended before.
func (c *churn) compare(t *testing.T, after time.Duration) {
	t.Helper()
	if len(c.samples)%2 == 1 {
		c.mend(t)
	}
	began := time.Now()
	generated, complete := c.generate(t)
	wait.Eventually(t, "what is applied is what is generated", func() error { return c.difference(t, generated, complete) })
	c.samples = append(c.samples, churnSample{
		after: after, memory: c.controller.Memory(t), objects: len(generated), settled: time.Since(began), complete: complete,
		writes: len(c.controller.Recorder.Writes()),
	})
}

// mend makes right what is wrong.
func (c *churn) mend(t *testing.T) {
	t.Helper()
	c.mending = true
	defer func() { c.mending = false }()
	for _, key := range slices.Sorted(maps.Keys(c.wrong)) {
		if !c.wrong[key] {
			continue
		}
		if c.write(t, key); c.wrong[key] { // there is no route for it
			c.remove(t, key)
		}
	}
}

// generate returns what the command generates, and whether it found nothing wrong.
func (c *churn) generate(t *testing.T) (objects []*kube.Object, complete bool) {
	t.Helper()
	// 3: some objects are wrong, which costs only these.
	stdout, stderr, code := c.s.Mooring.Try(t, "generate", "--from-cluster", "--namespace", "random", "--namespace", "random-b",
		"--wasm", c.s.Mooring.ModuleURL(t))
	if code != 0 && code != 3 {
		t.Fatalf("mooring generate: exit code %d\n%s", code, stderr)
	}
	objects, err := kube.ReadYAML(strings.NewReader(stdout))
	if err != nil {
		t.Fatal(err)
	}
	c.lastFindings = stderr
	return objects, code == 0
}

// difference returns an error unless the applied objects are these: the same names, if the objects of the user have been complete, and not a
// field changes when they are applied again.
func (c *churn) difference(t *testing.T, generated []*kube.Object, complete bool) error {
	t.Helper()
	have := map[string]*kube.Object{}
	for _, obj := range c.s.Written(t) {
		have[kube.Describe(obj)] = obj
	}
	for _, obj := range generated {
		live := have[kube.Describe(obj)]
		if live == nil {
			return fmt.Errorf("%s is missing", kube.Describe(obj))
		}
		delete(have, kube.Describe(obj))
		want, err := c.s.Cluster.Kube.Preview(obj, "mooring")
		if err != nil {
			return fmt.Errorf("%s: %w", kube.Describe(obj), err)
		}
		if a, b := contentOf(live), contentOf(want); a != b {
			return fmt.Errorf("%s is\n%s\nand not\n%s", kube.Describe(obj), a, b)
		}
	}
	if len(have) > 0 && complete {
		return fmt.Errorf("there are also %q", slices.Sorted(maps.Keys(have)))
	}
	return nil
}

// contentOf returns what an object says, without what the API server and the controller add to what is generated.
func contentOf(obj *kube.Object) string {
	obj = obj.DeepCopy()
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return err.Error()
	}
	annotations := accessor.GetAnnotations()
	delete(annotations, "mooring.dev/applied")
	if len(annotations) == 0 {
		annotations = nil
	}
	accessor.SetAnnotations(annotations)
	accessor.SetOwnerReferences(nil)
	accessor.SetManagedFields(nil)
	accessor.SetResourceVersion("")
	accessor.SetGeneration(0)
	unstructured.RemoveNestedField(obj.Object, "status")
	text, err := json.Marshal(obj.Object)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// report logs what the controller has used, and fails if its memory has grown. In a short run it only logs.
func (c *churn) report(t *testing.T) {
	t.Helper()
	step := max(1, len(c.samples)/12)
	for i := 0; i < len(c.samples); i += step {
		sample := c.samples[i]
		t.Logf("after %s: %d objects generated, memory %d MiB, settled within %s, %d writes so far", sample.after.Round(time.Second),
			sample.objects, sample.memory>>20, sample.settled.Round(time.Millisecond), sample.writes)
	}
	var settled latencies
	complete := 0
	for _, sample := range c.samples {
		settled = append(settled, sample.settled)
		if sample.complete {
			complete++
		}
	}
	last := c.samples[len(c.samples)-1]
	t.Logf("%v operations, %d comparisons, %d of them of all names; settled: %s", c.operations, len(c.samples), complete, settled)
	quarter := c.samples[len(c.samples)/4]
	if last.after > 10*time.Minute && last.memory > quarter.memory*5/4 {
		t.Errorf("memory has grown from %d to %d MiB", quarter.memory>>20, last.memory>>20)
	}
}
