//go:build mesh

package scenarios

import (
	"context"
	"testing"
	"time"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// The example of a sticky canary for gRPC: a GRPCRoute that matches metadata, with the session in metadata too.
func TestAStickyCanaryForGRPC(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "grpc-canary", scenario.WithExample("grpc-canary"), scenario.WithGatewayEnv(keys))
	s.Mooring.Deploy(t)
	client, err := s.Gateway(t, "front").GRPCClient("catalog.example")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const session = "catalog-version"
	call := func(metadata ...string) traffic.Reply {
		t.Helper()
		reply, err := client.Call(metadata...)
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}

	versions := traffic.Tally(sampleSize, func() string { return call().Version })
	expectShares(t, "80/20", versions, map[string]int{"v1": 80, "v2": 20})

	sessions, of := map[string]traffic.Reply{}, map[string]int{} // by token; by version
	for of["v1"] < 10 || of["v2"] < 10 {
		first := call()
		token := first.Header.Get(session)
		if token == "" {
			t.Fatal("no session in the metadata")
		}
		sessions[token] = first
		of[first.Version]++
	}
	expectKept := func(when string) {
		t.Helper()
		pods := map[string]int{}
		for token, first := range sessions {
			for range 5 {
				again := call(session, token)
				if renewed := again.Header.Get(session) != ""; again.Version != first.Version || renewed {
					t.Fatalf("%s: from %s to %s, new session %t", when, first.Version, again.Version, renewed)
				}
				pods[again.Pod]++
			}
		}
		t.Logf("%s: %d sessions of %v, 5 calls of each, all at their version: %v", when, len(sessions), of, pods)
		if len(pods) != 4 {
			t.Errorf("%s: calls reached only %v", when, pods)
		}
	}
	expectKept("at 80/20")
	for token, first := range sessions {
		if matched := call(session, token, "user-group", "testers"); matched.Version != "v2" {
			t.Fatalf("a tester of %s reached %s", first.Version, matched.Version)
		}
		if other := call(session, token, "user-group", "customers"); other.Version != first.Version {
			t.Fatalf("a customer of %s reached %s", first.Version, other.Version)
		}
	}
	expectKept("after calls as a tester")

	// An open stream of a session on v1 continues while v1 loses its weight.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var stream *traffic.GRPCStream
	for token, first := range sessions {
		if first.Version == "v1" && stream == nil {
			if stream, err = client.Stream(ctx, session, token); err != nil {
				t.Fatal(err)
			}
		}
	}
	expectStream := func(when string) {
		t.Helper()
		if pod, err := stream.Ask(); err != nil || pod != stream.Opened.Pod || stream.Opened.Version != "v1" {
			t.Errorf("%s: the stream of %s %s is at %q, %v", when, stream.Opened.Version, stream.Opened.Pod, pod, err)
		}
	}
	expectStream("at 80/20")
	s.Patch(t, gatewayGroup, "GRPCRoute", "catalog", `{"spec":{"rules":[{"name":"catalog","backendRefs":[
		{"name":"catalog-v1","port":9000,"weight":0},{"name":"catalog-v2","port":9000,"weight":100}]}]}}`)
	s.Mooring.Deploy(t)
	awaitWeights(t, s.Gateway(t, "front"), "catalog", map[string]int{"catalog-v1": 0, "catalog-v2": 100})
	expectKept("at 0/100")
	expectStream("at 0/100")
	expectShares(t, "0/100", traffic.Tally(100, func() string { return call().Version }), map[string]int{"v2": 100})
	expectNoFindings(t, s)
}
