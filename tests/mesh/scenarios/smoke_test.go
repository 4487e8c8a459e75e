//go:build mesh

package scenarios

import (
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

func TestTrafficSpreadsOverThePodsOfAService(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "smoke")
	client := s.Gateway(t, "front").Client(t)
	wait.Eventually(t, "all baskets take part", func() error {
		counts := traffic.Tally(30, func() string { return client.Get(t, "/basket").Pod })
		if len(counts) != 3 || counts[""] > 0 {
			return fmt.Errorf("of 30 requests: %v", counts)
		}
		return nil
	})
	if reply := client.Get(t, "/elsewhere"); reply.Pod != "pages-0" || reply.Version != "v7" {
		t.Errorf("/elsewhere went to pod %q, version %q", reply.Pod, reply.Version)
	}
}

func TestRoutesAreNamedAfterTheirRule(t *testing.T) {
	t.Parallel()
	gateway := rig.Start(t, "smoke").Gateway(t, "front")
	for _, name := range []string{"smoke.shop.0", "the-rest", "smoke.shop.2"} {
		gateway.Envoy.AwaitRoute(t, name, nil)
	}
}

// The rig itself: after an Await, no worker answers by an older configuration, although all are busy. The requests use connections that
// are open before, so that each worker has some.
func TestAwaitWaitsForEveryWorker(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "smoke", scenario.WithUniqueNamespace(), scenario.WithWorkers(4))
	gateway := s.Gateway(t, "front")
	clients := make([]*traffic.Client, 24)
	for i := range clients {
		clients[i] = gateway.Client(t)
		clients[i].Get(t, "/basket")
	}
	for change := range 40 {
		service := []string{"pages", "basket"}[change%2]
		s.PatchJSON(t, gatewayGroup, "HTTPRoute", "shop",
			fmt.Sprintf(`[{"op":"replace","path":"/spec/rules/0/backendRefs/0/name","value":%q}]`, service))
		gateway.Envoy.AwaitRoute(t, s.Namespace+".shop.0", envoy.Containing("||"+service+"."))
		want := map[string]string{"pages": "v7", "basket": "v1"}[service]
		var group errgroup.Group
		for _, client := range clients {
			group.Go(func() error {
				reply, err := client.Try("/basket")
				if err == nil && reply.Version != want {
					err = fmt.Errorf("version %q, status %d", reply.Version, reply.Status)
				}
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatalf("change %d, to %s of %s: %v", change, service, want, err)
		}
	}
}
