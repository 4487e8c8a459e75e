//go:build mesh

package scenarios

import (
	"context"
	"net"
	"testing"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// The namespace has the label of the waypoint. One Service has two ports and the HTTPRoutes of two owners, another one a GRPCRoute; the
// backends of the first have no waypoint.
func TestWaypointOfANamespace(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "waypoints-mixed", scenario.WithAmbientMesh(), scenario.WithGatewayEnv(keys))
	s.Mooring.Deploy(t)
	caller := s.From(t, scenario.FromWaypoint("client"))
	const header = "x-orders-session"
	for _, host := range []string{"orders", "orders:8081"} {
		sessions, pods := map[*traffic.Client]string{}, map[string]int{}
		for range 40 {
			client := caller.ClientForHost(t, host)
			client.KeepHeader(header)
			first := client.Get(t, "/cart/1")
			if first.Status != 200 || first.Header.Get(header) == "" || len(first.SetCookie) > 0 {
				t.Fatalf("%s: status %d, header %q, Set-Cookie %q", host, first.Status, first.Header.Get(header), first.SetCookie)
			}
			sessions[client] = first.Pod
			pods[first.Pod]++
		}
		expectStayed(t, "/cart/2", sessions)
		t.Logf("%s: 40 clients: %v", host, pods)
		for client := range sessions {
			if reply := client.Get(t, "/cart/export"); reply.Version != "v2" || reply.Header.Get(header) != "" {
				t.Errorf("the route of another owner: %s, header %q", reply.Pod, reply.Header.Get(header))
			}
			if reply := client.Get(t, "/other"); reply.Version != "v1" || reply.Header.Get(header) != "" {
				t.Errorf("a rule without sessions: %s, header %q", reply.Pod, reply.Header.Get(header))
			}
		}
		if len(pods) != 4 {
			t.Errorf("%s: 40 clients on %v", host, pods)
		}
	}
	expectGRPCSessions(t, callsOf(t, caller.AddressFor("catalog:9000")))
}

// callsOf returns a function that makes calls to the catalog at an address, on one connection.
func callsOf(t *testing.T, address string) func(metadata ...string) traffic.Reply {
	t.Helper()
	client, err := traffic.NewGRPCClient("catalog:9000", func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return func(metadata ...string) traffic.Reply {
		t.Helper()
		reply, err := client.Call(metadata...)
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
}
