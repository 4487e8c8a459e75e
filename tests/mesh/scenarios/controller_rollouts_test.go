//go:build mesh

package scenarios

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/readme"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// A real Argo Rollouts delivers releases on real workload controllers, on a VirtualService whose http route has no name, while the controller
// of Mooring keeps sessions. It changes the selectors of two Services, or the labels of two subsets of one. MESH_WITHOUT_MOORING=1 shows what
// new users see without Mooring.

func TestControllerArgoRollouts(t *testing.T) {
	t.Parallel()
	for _, example := range []rolloutExample{
		{folder: "services", stable: "web-stable.", canary: "web-canary.", stableKey: "web-stable.%s:80", canaryKey: "web-canary.%s:80"},
		{folder: "subsets", stable: "|stable|", canary: "|canary|", stableKey: "web.%s:80/stable", canaryKey: "web.%s:80/canary"},
	} {
		t.Run(example.folder, func(t *testing.T) {
			t.Parallel()
			testRollouts(t, example)
		})
	}
}

// A rolloutExample is a folder of examples/argo-rollouts.
type rolloutExample struct {
	folder               string
	stable, canary       string // parts of the names of the clusters
	stableKey, canaryKey string // of the backends, for a namespace
}

func testRollouts(t *testing.T, example rolloutExample) {
	s := rig.Start(t, "argo-rollouts", scenario.WithManifests("ingressgateway"), scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	gateway := s.Gateway(t, "ingressgateway")
	s.RunWorkloads(t)
	rollouts := s.StartArgoRollouts(t)
	rollouts.DeleteWhenDone(t, "web")
	apply := func(file string) {
		t.Helper()
		if err := s.TryApplyFile(t, rig.Env.RepositoryFile("examples/argo-rollouts/"+file)); err != nil {
			t.Fatal(err)
		}
	}
	apply(example.folder + "/app.yaml")
	apply(example.folder + "/route.yaml")
	await := func(phase string, step int64) {
		t.Helper()
		rollouts.Await(t, "web", scenario.RolloutStatus{Phase: phase, Step: step})
	}
	weights := func(stable, canary int) {
		t.Helper()
		awaitWeights(t, gateway, "", map[string]int{example.stable: stable, example.canary: canary})
	}
	await("Healthy", 4)
	weights(100, 0)
	newClient := func(t testing.TB) *traffic.Client { return gateway.ClientForHost(t, "shop.example.com") }
	awaitOnly(t, newClient, "/", "v1")
	withMooring := os.Getenv("MESH_WITHOUT_MOORING") == ""
	var d *delivery
	if withMooring {
		apply("policy.yaml")
		s.StartController(t)
		d = startDelivery(t, newClient, "/")
	} else {
		d = startDeliveryWithoutSessions(t, newClient, "/")
	}
	join := func() {
		t.Helper()
		if !withMooring {
			return
		}
		joined := d.join(t)
		joined.AwaitAllClients(t)
		t.Logf("more visitors: %v", joined.ClientsByVersion())
		if moves := joined.Totals().VersionMoves; len(moves) > 0 {
			t.Errorf("visitors that have just come move: %v", moves)
		}
	}
	leave := func(version string, count int) []*traffic.Client {
		t.Helper()
		if !withMooring {
			return nil
		}
		return d.leave(t, version, count)
	}
	awaitHash := func(key, version string) {
		t.Helper()
		if withMooring {
			awaitVersionOfBackend(t, gateway, fmt.Sprintf(key, s.Namespace), version)
		}
	}

	// A release: two steps and the promotion. Users of v1 stay on it until its pods are replaced, and users of v2 on v2 throughout.
	expectMoves(t, d.during(t, "v2 at 25", func() { rollouts.Release(t, "web", "v2"); await("Paused", 1); weights(75, 25) }))
	d.expectShare(t, "v2 at 25", map[string]int{"v1": 75, "v2": 25})
	join()
	expectMoves(t, d.during(t, "v2 at 50", func() { rollouts.Promote(t, "web"); await("Paused", 3); weights(50, 50) }))
	d.expectShare(t, "v2 at 50", map[string]int{"v1": 50, "v2": 50})
	awayOnV2 := leave("v2", 4)
	expectMoves(t, d.during(t, "v2 is promoted", func() {
		rollouts.Promote(t, "web")
		await("Healthy", 4)
		weights(100, 0)
		d.awaitAllOn(t, "v2")
		awaitHash(example.stableKey, rollouts.StableHash(t, "web"))
	}), "v1→v2")

	// A release that is aborted: all users of v3 leave it at once.
	expectMoves(t, d.during(t, "v3 at 25", func() { rollouts.Release(t, "web", "v3"); await("Paused", 1); weights(75, 25) }))
	join()
	awayOnV3 := leave("v3", 12)
	expectMoves(t, d.during(t, "v3 is aborted", func() {
		rollouts.Abort(t, "web")
		await("Degraded", 0)
		weights(100, 0)
		d.awaitAllOn(t, "v2")
	}), "v3→v2")

	// The next one starts without users of the canary.
	expectMoves(t, d.during(t, "v4 at 25", func() { rollouts.Release(t, "web", "v4"); await("Paused", 1); weights(75, 25) }))
	d.expectShare(t, "v4 at 25", map[string]int{"v2": 75, "v4": 25})
	awaitHash(example.canaryKey, rollouts.NewestHash(t, "web"))
	// Users who were away since they saw v2 as the canary have it as the stable version. Those of v3 come back as new users.
	back := d.comeBack(t, awayOnV2)
	if back["v2"] < len(awayOnV2) {
		t.Errorf("users of v2 who were away during its promotion are on %v", back)
	}
	back = d.comeBack(t, awayOnV3)
	t.Logf("users of v3 who were away during the abort are on %v", back)
	if back["v4"] > 0 && back["v2"] == 0 { // by chance once in 16 million times
		t.Error("users of v3 who were away during the abort are all on v4, like sessions of the canary")
	}
	d.expectNoFailures(t)
}

// The commands of examples/argo-rollouts/README.md, with the real kubectl and its plugin.
func TestControllerReadmeArgoRollouts(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "argo-rollouts", scenario.WithManifests("ingressgateway"), scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	gateway := s.Gateway(t, "ingressgateway")
	s.RunWorkloads(t)
	s.StartArgoRollouts(t).DeleteWhenDone(t, "web")
	s.StartController(t)
	commands, err := readme.Commands(rig.Env.RepositoryFile("examples/argo-rollouts/README.md"), "")
	if err != nil {
		t.Fatal(err)
	}
	readme.NewShell(t, rig.Env, kubeconfigIn(t, s), "GATEWAY="+gateway.AddressFor("shop.example.com")).Run(commands)
}

// awaitVersionOfBackend waits until the module on a gateway has a configuration in which a backend has this version.
func awaitVersionOfBackend(t *testing.T, gateway *gateway.Gateway, key, version string) {
	t.Helper()
	gateway.Envoy.Await(t, key+" has the version "+version, func() error {
		var dump struct {
			Configs []struct {
				Filter struct {
					Config struct {
						Config struct {
							Configuration struct {
								Value string `json:"value"`
							} `json:"configuration"`
						} `json:"config"`
					} `json:"typed_config"`
				} `json:"ecds_filter"`
			} `json:"configs"`
		}
		if err := gateway.Envoy.Dump("ecds_filters", &dump); err != nil {
			return err
		}
		have := map[string]string{}
		for _, config := range dump.Configs {
			var module struct {
				Rules []struct {
					Backends []struct{ Key, Version string }
				}
			}
			if err := json.Unmarshal([]byte(config.Filter.Config.Config.Configuration.Value), &module); err != nil {
				return err
			}
			for _, rule := range module.Rules {
				for _, backend := range rule.Backends {
					have[backend.Key] = backend.Version
				}
			}
		}
		if have[key] != version {
			return fmt.Errorf("the versions are %v", have)
		}
		return nil
	})
}
