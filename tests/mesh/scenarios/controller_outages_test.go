//go:build mesh

package scenarios

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/wait"
)

// The controller while parts of the control plane are down, and definitions come and go. Fifty clients have sessions meanwhile: none of their
// requests fails, and none of their sessions moves. CONTROLLER_AWAY is how many seconds the API server is away.
func TestControllerAndControlPlaneOutages(t *testing.T) {
	t.Parallel()
	f := startFaults(t, scenario.WithOwnControlPlane(), scenario.WithExclusiveControlPlane())
	f.controller.Stop(t)
	// Without a recorder, it sees what has become of the API server.
	f.controller = f.s.StartController(t, scenario.ControllerNamed("direct"), scenario.ControllerDirectly(), scenario.ControllerNamespaces())
	for _, c := range []struct {
		name string
		test func(*testing.T, *faults)
	}{
		{"a definition comes and goes", aDefinitionComesAndGoes},
		{"the API server is away", theAPIServerIsAway},
		{"etcd is killed", etcdIsKilled},
		{"changes that are compacted away", changesThatAreCompactedAway},
	} {
		if !t.Run(c.name, func(t *testing.T) { f.during(t, c.test) }) {
			break // the others begin where this one should have ended
		}
	}
	t.Log(f.load.Stop())
}

// A definition that the cluster lacked at the start is used when it comes, and nothing else changes when it goes.
func aDefinitionComesAndGoes(t *testing.T, f *faults) {
	crds, err := kube.ReadFile(filepath.Join(rig.Env.CRDs("gateway-api-"+cluster.GatewayAPI15),
		"config/crd/experimental/gateway.networking.x-k8s.io_xbackendtrafficpolicies.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.s.Cluster.CreateCRDs(crds); err != nil {
		t.Fatal(err)
	}
	f.s.Apply(t, `apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: late}
spec:
  targetRefs: [{group: "", kind: Service, name: plain}]
  sessionPersistence: {sessionName: late-session}
`)
	client := f.s.Gateway(t, "gateway-sp-demo").ClientForHost(t, "plain.example")
	sessions := func(want bool) {
		t.Helper()
		wait.Eventually(t, fmt.Sprintf("the late policy is in force: %t", want), func() error {
			client.Close()
			client.ForgetCookies()
			reply := client.Get(t, "/")
			if reply.Status != 200 || (len(reply.SetCookie) == 1) != want {
				return fmt.Errorf("status %d, Set-Cookie %q", reply.Status, reply.SetCookie)
			}
			return nil
		})
	}
	sessions(true)
	awaitCondition(t, f.s, xGroup, "XBackendTrafficPolicy", "late", "Programmed", "True", "")
	f.s.Delete(t, xGroup, "XBackendTrafficPolicy", "late")
	sessions(false)
	before := generatedVersions(t, f.s)
	for _, crd := range crds {
		if err := f.s.Cluster.Kube.Delete(crd); err != nil {
			t.Fatal(err)
		}
	}
	f.s.Cluster.Kube.ForgetKinds()
	f.expectGoesOn(t)
	expectSameObjects(t, before, generatedVersions(t, f.s))
	// That a kind is gone keeps nothing else from being removed.
	f.s.Delete(t, gatewayGroup, "HTTPRoute", "half")
	f.awaitSessionRoutes(t, false)
	f.s.Apply(t, splitRoute)
	f.awaitSessionRoutes(t, true)
}

// expectSameObjects expects that none of the generated objects is gone. They may have changed.
func expectSameObjects(t *testing.T, before, after map[string]string) {
	t.Helper()
	for name := range before {
		if after[name] == "" {
			t.Errorf("%s is gone", name)
		}
	}
}

// expectUntouched expects that not one generated object has been written.
func (f *faults) expectUntouched(t *testing.T, before map[string]string) {
	t.Helper()
	if after := generatedVersions(t, f.s); !maps.Equal(before, after) {
		t.Errorf("%v has become %v", before, after)
	}
}

// withoutCause is a line about a request that failed, without the answer of the system.
var withoutCause = regexp.MustCompile(`(?m)^.*client error \(\w+\)"?$`)

func theAPIServerIsAway(t *testing.T, f *faults) {
	before := generatedVersions(t, f.s)
	stop := f.controller.Supervise(t)
	away := time.Duration(setting(t, "CONTROLLER_AWAY", 3)) * time.Second
	if err := f.s.Cluster.Crash(f.s.Cluster.APIServer, func() { f.load.Await(t, int(away.Seconds()*5*loadSize)) }); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	f.expectUntouched(t, before)
	f.controller.AwaitReady(t)
	f.expectGoesOn(t)
	t.Logf("%s after it is back, a change takes effect; exits of the controller meanwhile: %v", time.Since(began).Round(time.Millisecond), stop())
	if line := withoutCause.FindString(f.controller.Process.Log()); line != "" {
		t.Errorf("the log does not say why: %s", line)
	}
}

func etcdIsKilled(t *testing.T, f *faults) {
	before := generatedVersions(t, f.s)
	stop := f.controller.Supervise(t)
	if err := f.s.Cluster.Crash(f.s.Cluster.Etcd, func() { f.load.Await(t, 2*loadSize) }); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	wait.Eventually(t, "the API server has its objects again", func() error {
		_, err := f.s.Cluster.Kube.Get(f.s.Get(t, "v1", "Service", "plain").GroupVersionKind(), f.s.Namespace, "plain")
		return err
	})
	f.expectUntouched(t, before)
	f.controller.AwaitReady(t)
	f.expectGoesOn(t)
	t.Logf("%s after it is back, a change takes effect; exits of the controller meanwhile: %v", time.Since(began).Round(time.Millisecond), stop())
}

// While the controller is stopped in its tracks, a route goes, and the API server forgets that: watches from before get 410.
func changesThatAreCompactedAway(t *testing.T, f *faults) {
	stop := f.controller.Supervise(t)
	if err := f.controller.Process.Pause(); err != nil {
		t.Fatal(err)
	}
	f.s.Delete(t, gatewayGroup, "HTTPRoute", "half")
	f.compact(t)
	// Its watch cache begins where it starts.
	if err := f.s.Cluster.Crash(f.s.Cluster.APIServer, func() {}); err != nil {
		t.Fatal(err)
	}
	if err := f.controller.Process.Resume(); err != nil {
		t.Fatal(err)
	}
	f.awaitSessionRoutes(t, false)
	f.s.Apply(t, splitRoute)
	f.awaitSessionRoutes(t, true)
	stop()
}

// compact makes etcd forget all states of objects but the present one, by its JSON gateway.
func (f *faults) compact(t *testing.T) {
	t.Helper()
	post := func(path, body string) (answer struct{ Header struct{ Revision string } }) {
		t.Helper()
		response, err := http.Post("http://"+f.s.Cluster.IP+":2379/v3/kv/"+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text := bytes.Buffer{}
		if _, err := text.ReadFrom(response.Body); err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("etcd: %s: %v %s", path, err, text.String())
		}
		if err := json.Unmarshal(text.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		return answer
	}
	now := post("range", `{"key":"AA=="}`).Header.Revision
	post("compaction", fmt.Sprintf(`{"revision":%q,"physical":true}`, now))
}
