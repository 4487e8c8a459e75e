package scenarios

import (
	"encoding/base64"
	"testing"

	"mooring.dev/tests/mesh/rig"
)

// The pieces that Envoy's own filters do, with the client's own headers in the filter's place.
func startHandmade(t *testing.T) (*rig.Scenario, *rig.Gateway) {
	s := rig.Start(t, "handmade")
	s.ApplyFile("stand-in/envoyfilter.yaml")
	gateway := s.Gateway("front")
	gateway.AwaitRoute("handmade.shop.0", rig.Contains("mooring.pin"))
	gateway.AwaitRoute("handmade.shop.1", rig.Contains("mooring.pin"))
	gateway.AwaitListener("stand-in")
	return s, gateway
}

func decide(backend string, host *rig.Pod) []rig.Edit {
	var edits []rig.Edit
	if backend != "" {
		edits = append(edits, rig.Header("decide-backend", backend))
	}
	if host != nil {
		edits = append(edits, rig.Header("decide-host", base64.StdEncoding.EncodeToString([]byte(host.IP+":8080"))))
	}
	return edits
}

func TestHandmadePiecesPinAndChoose(t *testing.T) {
	s, gateway := startHandmade(t)
	visitor := gateway.Client()
	for _, c := range []struct {
		name    string
		path    string
		backend string
		host    string
		version string // expected
	}{
		{"the pinned host of a split", "/split", "0", "shop-v1-1", "v1"},
		{"the pinned host of the other backend", "/split", "1", "shop-v2-1", "v2"},
		{"the rule's other match", "/also-split", "1", "shop-v2-0", "v2"},
		{"one backend", "/single", "", "shop-v1-2", "v1"},
		{"a backend without a host", "/split", "1", "", "v2"},
		{"an unknown backend is the primary one", "/split", "7", "", "v1"},
		{"no backend is the primary one", "/split", "", "", "v1"},
		{"a host of another backend is not reached", "/split", "0", "shop-v2-0", "v1"},
		{"a backend of another rule is not reached", "/single", "1", "", "v1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var host *rig.Pod
			if c.host != "" {
				host = s.Pod(c.host)
			}
			for range 10 {
				reply := visitor.Get(c.path, decide(c.backend, host)...)
				if reply.Version != c.version {
					t.Fatalf("version %q answered, status %d", reply.Version, reply.Status)
				}
				pinned := host != nil && host.Version == c.version
				if pinned && reply.Pod != c.host {
					t.Fatalf("pod %q answered", reply.Pod)
				}
				// Envoy tells the filter which host it took, but only when that is news.
				if told := reply.Header.Get("chosen-host") != ""; told == pinned {
					t.Fatalf("chosen host reported: %t", told)
				}
				for _, name := range []string{"X-Mooring-Backend", "X-Mooring-Host"} {
					if reply.Echo.Headers.Get(name) != "" || reply.Header.Get(name) != "" {
						t.Fatalf("%s leaves the gateway", name)
					}
				}
			}
		})
	}
}

func TestARouteWithoutPolicyIgnoresTheHeaders(t *testing.T) {
	s, gateway := startHandmade(t)
	visitor := gateway.Client()
	counts := rig.Tally(100, func() string {
		return visitor.Get("/untouched", decide("1", s.Pod("shop-v2-0"))...).Version
	})
	if counts["v1"] < 20 || counts["v2"] < 20 {
		t.Errorf("the split is not half and half: %v", counts)
	}
}
