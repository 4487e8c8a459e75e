//go:build mesh

package scenarios

import (
	"fmt"
	"testing"

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
