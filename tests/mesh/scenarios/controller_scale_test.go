//go:build mesh

package scenarios

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/wait"
)

// What many routes cost the controller. Each route has one Service, every fifth two and so a session route, and a policy; there is a Gateway for
// each thousand. A change of one route writes the objects of its Gateway and nothing else. CONTROLLER_SCALE is the number of routes,
// CONTROLLER_SCALE_OF_GATEWAY how many a Gateway has, and CONTROLLER_SCALE_REST how many seconds the controller is watched while nothing changes.
// CONTROLLER_SCALE_VERIFY is the value of --verify-plan; if it is set, changes with a whole plan are measured too, with that time between them.
// The liveness and the metrics are asked for all the time. Ten thousand routes take some ten minutes of two cores: -timeout=60m.
func TestControllerAtScale(t *testing.T) {
	if os.Getenv("CONTROLLER_SCALE") == "" {
		t.Skip("CONTROLLER_SCALE is not set: a measurement with a control plane of its own")
	}
	t.Parallel()
	l := &scaleLoad{
		s:      rig.Start(t, "scale", scenario.WithOwnControlPlane()),
		routes: setting(t, "CONTROLLER_SCALE", 100), ofGateway: setting(t, "CONTROLLER_SCALE_OF_GATEWAY", 1000),
	}
	wait.Eventually(t, "the class of the Gateways is there", func() error {
		_, err := l.s.Cluster.Kube.Get(kube.Ref(gatewayGroup, "GatewayClass", "", "istio").GroupVersionKind(), "", "istio")
		return err
	})
	// No proxy needs it, and it would write the status of each route.
	l.s.Cluster.Istiod.Kill()
	began := time.Now()
	l.create(t)
	t.Logf("%d routes, %d of a Gateway; created in %s", l.routes, l.ofGateway, time.Since(began).Round(time.Millisecond))

	began = time.Now()
	verify := setting(t, "CONTROLLER_SCALE_VERIFY", 0)
	l.controller = l.s.StartControllerUnready(t, scenario.ControllerNamespaces(), scenario.ControllerDirectly(),
		scenario.ControllerArgs("--verify-plan", strconv.Itoa(verify)))
	answers := l.ask(t)
	l.await(t, "everything is written", func() error { return l.isWritten(t) })
	l.awaitRest(t)
	t.Logf("start: %s, %.2f s of CPU, memory %d MiB, %d MiB at the most, %.0f writes; %s", time.Since(began).Round(time.Millisecond),
		l.cpu(t), l.memory(t, "VmRSS"), l.memory(t, "VmHWM"), l.writes(t), answers())

	rest := time.Duration(setting(t, "CONTROLLER_SCALE_REST", 2)) * time.Second
	cpu, writes := l.cpu(t), l.writes(t)
	time.Sleep(rest)
	t.Logf("rest: %.2f s of CPU in %s, memory %d MiB", l.cpu(t)-cpu, rest, l.memory(t, "VmRSS"))
	if more := l.writes(t) - writes; more > 0 {
		t.Errorf("%.0f writes, though nothing changes", more)
	}
	l.forgetPeak(t)
	l.change(t)
	t.Logf("at the end: memory %d MiB, %d MiB at the most", l.memory(t, "VmRSS"), l.memory(t, "VmHWM"))
	for n := 0; verify > 0 && n < 5; n++ {
		time.Sleep(time.Duration(verify) * time.Second)
		l.changeWithWholePlan(t, n)
	}
}

// A scaleLoad is many routes and the controller that works on them.
type scaleLoad struct {
	s                 *scenario.Scenario
	routes, ofGateway int
	controller        *scenario.Controller
}

// create creates everything, a bounded number of objects at a time.
func (l *scaleLoad) create(t *testing.T) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(16)
	create := func(obj *kube.Object) {
		group.Go(func() error {
			if _, err := l.s.Cluster.Kube.Create(obj); err != nil {
				return fmt.Errorf("%s: %w", kube.Describe(obj), err)
			}
			return nil
		})
	}
	for team := 0; team <= (l.routes-1)/ofTeam; team++ {
		create(kube.Ref("v1", "Namespace", "", fmt.Sprintf("scale-%d", team)))
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for n := range l.routes {
		if n%l.ofGateway == 0 {
			create(normal(t, l.gateway(n)))
		}
		create(normal(t, l.route(n, hostOf(n))))
		create(normal(t, l.policy(n)))
		for _, name := range servicesOf(n) {
			create(normal(t, l.service(n, name)))
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// ofTeam is how many routes a namespace has.
const ofTeam = 100

func servicesOf(n int) []string {
	if n%5 == 0 {
		return []string{fmt.Sprintf("stable-%d", n), fmt.Sprintf("canary-%d", n)}
	}
	return []string{fmt.Sprintf("web-%d", n)}
}

func hostOf(n int) string { return fmt.Sprintf("route-%d.example.com", n) }

func (l *scaleLoad) gatewayName(n int) string { return fmt.Sprintf("front-%d", n/l.ofGateway) }

func (l *scaleLoad) gateway(n int) *kube.Object {
	obj := kube.Ref(gatewayGroup, "Gateway", "scale-edge", l.gatewayName(n))
	obj.Object["spec"] = fields{"gatewayClassName": "istio", "listeners": []any{fields{
		"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": fields{"namespaces": fields{"from": "All"}},
	}}}
	return obj
}

func team(n int) string { return fmt.Sprintf("scale-%d", n/ofTeam) }

func (l *scaleLoad) route(n int, host string) *kube.Object {
	var backends []any
	for _, name := range servicesOf(n) {
		backends = append(backends, fields{"name": name, "port": 80, "weight": 50})
	}
	obj := kube.Ref(gatewayGroup, "HTTPRoute", team(n), fmt.Sprintf("route-%d", n))
	obj.Object["spec"] = fields{
		"parentRefs": []any{fields{"name": l.gatewayName(n), "namespace": "scale-edge"}}, "hostnames": []any{host},
		"rules": []any{fields{"name": "all", "backendRefs": backends}}, // without a name, each would have an event
	}
	return obj
}

func (l *scaleLoad) policy(n int) *kube.Object {
	var targets []any
	for _, name := range servicesOf(n) {
		targets = append(targets, fields{"group": "", "kind": "Service", "name": name})
	}
	obj := kube.Ref(xGroup, "XBackendTrafficPolicy", team(n), fmt.Sprintf("sticky-%d", n))
	obj.Object["spec"] = fields{"targetRefs": targets, "sessionPersistence": fields{"sessionName": fmt.Sprintf("session-%d", n), "absoluteTimeout": "8h"}}
	return obj
}

func (l *scaleLoad) service(n int, name string) *kube.Object {
	obj := kube.Ref("v1", "Service", team(n), name)
	obj.Object["spec"] = fields{
		"clusterIP": "None", // the API server has no addresses for so many
		"selector":  fields{"app": name}, "ports": []any{fields{"name": "http", "port": 80, "targetPort": 8080}},
	}
	return obj
}

// change changes the host of one route after the other, and reports how long it takes until that is written.
func (l *scaleLoad) change(t *testing.T) {
	t.Helper()
	const times = 10
	var took latencies
	answers := l.ask(t)
	cpu, writes := l.cpu(t), l.writes(t)
	for i := range times {
		took = append(took, l.changeHost(t, i*37%l.routes, fmt.Sprintf("changed-%d.example.com", i)))
	}
	written := (l.writes(t) - writes) / times
	t.Logf("a change: %s; %.0f ms of CPU and %.1f writes on average; %s", took, (l.cpu(t)-cpu)*1000/times, written, answers())
	// The WasmPlugin, the EnvoyFilters of the two hosts, and a session route.
	if written > 4 {
		t.Errorf("a change of one route writes %.1f objects", written)
	}
}

// changeWithWholePlan changes a host when a whole plan is due.
func (l *scaleLoad) changeWithWholePlan(t *testing.T, n int) {
	t.Helper()
	l.forgetPeak(t)
	before := l.memory(t, "VmRSS")
	cpu, answers := l.cpu(t), l.ask(t)
	took := l.changeHost(t, n, fmt.Sprintf("verified-%d.example.com", n))
	t.Logf("a change with a whole plan: %s, %.2f s of CPU; memory %d MiB before, %d MiB after, %d MiB at the most; %s", took.Round(time.Millisecond),
		l.cpu(t)-cpu, before, l.memory(t, "VmRSS"), l.memory(t, "VmHWM"), answers())
}

// changeHost changes the host of a route, waits until everything is written, and returns how long it took until the module's configuration was.
func (l *scaleLoad) changeHost(t *testing.T, n int, host string) time.Duration {
	t.Helper()
	began := time.Now()
	l.s.Patch(t, gatewayGroup, "HTTPRoute", team(n)+"/"+fmt.Sprintf("route-%d", n), fmt.Sprintf(`{"spec":{"hostnames":[%q]}}`, host))
	plugin := kube.Ref("extensions.istio.io/v1alpha1", "WasmPlugin", "scale-edge", "mooring-"+l.gatewayName(n))
	l.await(t, host+" is in the configuration of the module", func() error {
		obj, err := l.s.Cluster.Kube.Get(plugin.GroupVersionKind(), plugin.GetNamespace(), plugin.GetName())
		if err != nil {
			return err
		}
		if !strings.Contains(contentOf(obj), host) {
			return fmt.Errorf("%s does not name it", kube.Describe(obj))
		}
		return nil
	})
	took := time.Since(began)
	l.await(t, "it is written", func() error { return l.isWritten(t) })
	return took
}

// ask asks for the liveness and the metrics over and over. The returned function ends that, and says how long the answers took. An answer
// that takes longer than the client waits, or that the controller is stuck, fails the test.
func (l *scaleLoad) ask(t *testing.T) (end func() string) {
	t.Helper()
	paths := []string{"/livez", "/metrics"}
	took := make([]latencies, len(paths))
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		started := false
		for {
			for i, path := range paths {
				began := time.Now()
				status, body, err := l.controller.Probe(path)
				switch {
				case err == nil && status == 200:
					started = true
					took[i] = append(took[i], time.Since(began))
				case started:
					t.Errorf("%s: %v, %d: %.200s", path, err, status, body)
				}
			}
			select {
			case <-stopping:
				return
			case <-time.After(wait.MinPause):
			}
		}
	}()
	stop := sync.OnceFunc(func() {
		close(stopping)
		<-stopped
	})
	t.Cleanup(stop)
	return func() string {
		stop()
		return fmt.Sprintf("%s %s, %s %s", paths[0], took[0], paths[1], took[1])
	}
}

// forgetPeak makes VmHWM begin again with the memory of now.
func (l *scaleLoad) forgetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", l.controller.Process.PID()), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

// await is wait.Eventually without its limit, because so many objects take as long as the machine takes; the test has a limit.
func (l *scaleLoad) await(t *testing.T, what string, check func() error) {
	t.Helper()
	for {
		err := check()
		if err == nil {
			return
		}
		if exited := l.controller.Process.Exited(); exited != nil {
			t.Fatalf("%s: %v: %v\n%s", what, err, exited, l.controller.Process.Tail())
		}
		time.Sleep(wait.MinPause)
	}
}

// awaitRest waits until nothing has been written for two seconds: the status of a policy is written again once its objects are applied.
func (l *scaleLoad) awaitRest(t *testing.T) {
	t.Helper()
	for before := -1.0; before < l.writes(t); time.Sleep(2 * time.Second) {
		before = l.writes(t)
	}
}

// isWritten returns an error until all objects are applied and each policy has a status.
func (l *scaleLoad) isWritten(t *testing.T) error {
	if status, body, err := l.controller.Probe("/readyz"); err != nil || status != 200 {
		return fmt.Errorf("not ready: %v, %d: %s", err, status, body)
	}
	metrics := map[string]float64{}
	for _, sample := range l.controller.Metrics(t) {
		metrics[sample.Name] += sample.Value
		if sample.Name == "mooring_controller_writes_total" && strings.Contains(sample.Labels, `write="status"`) {
			metrics["statuses"] += sample.Value
		}
	}
	gateways := (l.routes + l.ofGateway - 1) / l.ofGateway
	splits := (l.routes + 4) / 5
	if out := metrics["mooring_controller_objects_out_of_date"]; out > 0 {
		return fmt.Errorf("%.0f objects are out of date", out)
	}
	if objects := metrics["mooring_controller_objects"]; objects < float64(2*gateways+splits) {
		return fmt.Errorf("%.0f objects for %d Gateways and %d split routes", objects, gateways, splits)
	}
	if statuses := metrics["statuses"]; statuses < float64(l.routes) {
		return fmt.Errorf("%.0f statuses for %d policies", statuses, l.routes)
	}
	return nil
}

// writes returns how many objects and statuses the controller has written, without events.
func (l *scaleLoad) writes(t *testing.T) float64 {
	const name = "mooring_controller_writes_total"
	return l.controller.Metric(t, name) - l.controller.Metric(t, name, "resource", "events")
}

// memory returns a line of the controller's memory in MiB.
func (l *scaleLoad) memory(t *testing.T, name string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", l.controller.Process.PID()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), name+":")
	kilobytes, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes / 1024
}

// cpu returns the seconds of processor time that the controller has used.
func (l *scaleLoad) cpu(t *testing.T) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", l.controller.Process.PID()))
	if err != nil {
		t.Fatal(err)
	}
	// proc_pid_stat(5): the name of the program ends with the last parenthesis; utime and stime are the 12th and 13th field after it.
	all := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	ticks := 0
	for _, field := range all[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return float64(ticks) / 100 // a tick is always 10 ms for programs
}
