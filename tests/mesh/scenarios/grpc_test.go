package scenarios

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	health_v1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"mooring.dev/tests/mesh/rig"
)

// A sticky canary for gRPC, told by metadata. The service is gRPC's own health service, since every pod can have one.
func TestAStickyCanaryForGRPC(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "grpc", rig.GatewayEnv(keys))
	servers := map[string]*health.Server{}
	for _, name := range []string{"catalog-v1-0", "catalog-v1-1", "catalog-v2-0", "catalog-v2-1"} {
		servers[name] = health.NewServer()
		server := grpc.NewServer()
		health_v1.RegisterHealthServer(server, servers[name])
		s.Pod(name).Respond(server.ServeHTTP)
	}
	s.Deploy()
	caller := newCaller(t, s.Gateway("front"))

	versions := map[string]int{}
	for range newcomers {
		versions[caller.check(t, "").version]++
	}
	expectShares(t, "80/20", versions, map[string]int{"v1": 80, "v2": 20})

	sessions := map[string]answer{} // by token
	for range 40 {
		first := caller.check(t, "")
		if first.token == "" {
			t.Fatal("no session in the metadata")
		}
		sessions[first.token] = first
	}
	expectKept := func(when string) {
		t.Helper()
		pods := map[string]int{}
		for token, first := range sessions {
			for range 5 {
				again := caller.check(t, token)
				if again.version != first.version || again.token != "" {
					t.Fatalf("%s: from %s to %s, new session %t", when, first.version, again.version, again.token != "")
				}
				pods[again.pod]++
			}
		}
		t.Logf("%s: 40 sessions, 200 calls, all at their version: %v", when, pods)
		if len(pods) != 4 {
			t.Errorf("%s: calls reached only %v", when, pods)
		}
	}
	expectKept("at 80/20")
	for token, first := range sessions {
		forced := caller.check(t, token, "user-group", "testers")
		if forced.version != "v2" {
			t.Fatalf("a tester of %s reached %s", first.version, forced.version)
		}
	}
	expectKept("after calls as a tester")
	s.Patch(gatewayGroup, "HTTPRoute", "catalog", `{"spec":{"rules":[{"name":"catalog","backendRefs":[
		{"name":"catalog-v1","port":9000,"weight":0},{"name":"catalog-v2","port":9000,"weight":100}]}]}}`)
	s.Deploy()
	expectKept("at 0/100")

	// A stream stays where it is, and goes on.
	stream, first := caller.watch(t, sessions)
	for _, status := range []health_v1.HealthCheckResponse_ServingStatus{
		health_v1.HealthCheckResponse_NOT_SERVING, health_v1.HealthCheckResponse_SERVING,
	} {
		servers[first.pod].SetServingStatus("", status)
		if update, err := stream.Recv(); err != nil || update.Status != status {
			t.Errorf("the stream from %s says %v, %v", first.pod, update, err)
		}
	}
	expectHarmless(t, s)
}

type caller struct{ client health_v1.HealthClient }

// An answer is where a call came to, and the session that was begun with it.
type answer struct{ pod, version, token string }

func newCaller(t *testing.T, gateway *rig.Gateway) caller {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///catalog.example",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return gateway.Dial(ctx, 80) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return caller{health_v1.NewHealthClient(conn)}
}

func withSession(ctx context.Context, token string, pairs ...string) context.Context {
	if token != "" {
		pairs = append(pairs, "catalog-version", token)
	}
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

func answerOf(headers metadata.MD) answer {
	one := func(name string) string {
		if values := headers.Get(name); len(values) == 1 {
			return values[0]
		}
		return ""
	}
	return answer{pod: one("x-pod"), version: one("x-pod-version"), token: one("catalog-version")}
}

// check is one call with the session, if there is a token, and more metadata.
func (c caller) check(t *testing.T, token string, pairs ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	var headers metadata.MD
	reply, err := c.client.Check(withSession(ctx, token, pairs...), &health_v1.HealthCheckRequest{}, grpc.Header(&headers))
	if err != nil || reply.Status != health_v1.HealthCheckResponse_SERVING {
		t.Fatalf("%v, %v", reply, err)
	}
	return answerOf(headers)
}

// watch begins a stream with a session of v1 and reads what it says first.
func (c caller) watch(t *testing.T, sessions map[string]answer) (health_v1.Health_WatchClient, answer) {
	t.Helper()
	for token, first := range sessions {
		if first.version != "v1" {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		t.Cleanup(cancel)
		stream, err := c.client.Watch(withSession(ctx, token), &health_v1.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		headers, err := stream.Header()
		if at := answerOf(headers); err != nil || at.version != "v1" {
			t.Fatalf("a stream of v1 is at %v, %v", at, err)
		}
		return stream, answerOf(headers)
	}
	t.Fatal("no session of v1")
	return nil, answer{}
}
