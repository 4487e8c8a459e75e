//go:build mesh

package scenarios

import (
	"fmt"
	"slices"
	"testing"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// Examples that no other file tests, unchanged, with pods of the rig.

func TestExampleCanaryByCookie(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "examples", scenario.WithExample("canary-by-cookie"), scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	s.Mooring.Deploy(t)
	client := s.Gateway(t, "web").ClientForHost(t, "myweb.example.com")
	expectShares(t, "all users", versionsOf(t, client, 100, "/"), map[string]int{"v1": 1})
	testers := versionsOf(t, client, 100, "/", traffic.WithHeader("Cookie", "usertype=tester"))
	expectShares(t, "testers", testers, map[string]int{"v2": 1})
	expectNoFindings(t, s)
}

func TestExampleStickyCanary(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "examples", scenario.WithExample("sticky-canary"), scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	s.Mooring.Deploy(t)
	client := s.Gateway(t, "web").Client(t)
	// By chance, and by the users' names: each new user twice, as if from two machines.
	expectShares(t, "anonymous", versionsOf(t, client, sampleSize, "/"), map[string]int{"v1": 90, "v2": 10})
	users := func() (versions []string) {
		for i := range sampleSize {
			client.ForgetCookies()
			versions = append(versions, client.Get(t, "/", traffic.WithHeader("User", fmt.Sprintf("user%d", i))).Version)
		}
		return versions
	}
	before := users()
	expectShares(t, "by user", tally(before), map[string]int{"v1": 90, "v2": 10})
	if again := users(); !slices.Equal(again, before) {
		t.Error("a user sees one version here and another there")
	}
	always := traffic.WithHeader("X-Canary", "always")
	expectShares(t, "by header, always", versionsOf(t, client, 100, "/", always), map[string]int{"v2": 1})
	never := traffic.WithHeader("X-Canary", "never")
	expectShares(t, "by header, never", versionsOf(t, client, 100, "/", never), map[string]int{"v1": 1})
	expectNoFindings(t, s)

	// v2 gets a tenth more, from v1, and no other user moves. Each of the 1000 users moves with a probability of a tenth.
	s.Patch(t, gatewayGroup, "HTTPRoute", "shop", `{"spec":{"rules":[{"name":"shop","backendRefs":[
		{"name":"shop-v1","port":80,"weight":80},{"name":"shop-v2","port":80,"weight":20}]}]}}`)
	s.Mooring.Deploy(t)
	awaitWeights(t, s.Gateway(t, "web"), "shop", map[string]int{"shop-v1": 80, "shop-v2": 20})
	after := users()
	expectShares(t, "by user, after the change", tally(after), map[string]int{"v1": 80, "v2": 20})
	var moves []string
	for i, version := range after {
		if version == before[i] {
			moves = append(moves, "stayed")
		} else {
			moves = append(moves, "to "+version)
		}
	}
	expectShares(t, "moves", tally(moves), map[string]int{"stayed": 90, "to v2": 10, "to v1": 0})
}

func tally(values []string) map[string]int {
	counts := map[string]int{}
	for _, value := range values {
		counts[value]++
	}
	return counts
}

func TestExampleBookinfoGatewayAPI(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "bookinfo", scenario.WithExample("bookinfo-gateway-api"), scenario.WithNamespace("istio-demo"), scenario.WithGatewayEnv(keys))
	s.Mooring.Deploy(t)
	gateway := s.Gateway(t, "bookinfo")
	vijay := traffic.WithHeader("end-user", "vijay")
	expectShares(t, "vijay", versionsOf(t, gateway.Client(t), 100, "/reviews/1", vijay), map[string]int{"v2": 1})
	expectShares(t, "all users", versionsOf(t, gateway.Client(t), sampleSize, "/reviews/1"), map[string]int{"v1": 50, "v3": 50})

	// A reader stays on its version after requests as vijay, and after v1 has lost its weight.
	readers, of := map[*traffic.Client]string{}, map[string]int{}
	for of["v1"] < 10 || of["v3"] < 10 {
		reader := gateway.Client(t)
		first := reader.Get(t, "/reviews/1")
		sessionOf(t, first)
		readers[reader] = first.Version
		of[first.Version]++
	}
	expectKept := func(when string) {
		t.Helper()
		for reader, version := range readers {
			for range 3 {
				if reply := reader.Get(t, "/reviews/1"); reply.Version != version {
					t.Fatalf("%s: a reader of %s reached %s", when, version, reply.Version)
				}
			}
		}
		t.Logf("%s: all of %d readers stayed: %v", when, len(readers), of)
	}
	for reader := range readers {
		if version := reader.Get(t, "/reviews/1", vijay).Version; version != "v2" {
			t.Fatalf("a reader reached %s as vijay", version)
		}
	}
	expectKept("after a request as vijay")
	s.Patch(t, gatewayGroup, "HTTPRoute", "reviews", `{"spec":{"rules":[{"name":"reviews","backendRefs":[
		{"name":"reviews-v1","port":9080,"weight":0},{"name":"reviews-v2","port":9080,"weight":0},
		{"name":"reviews-v3","port":9080,"weight":100}]}]}}`)
	s.Mooring.Deploy(t)
	awaitWeights(t, gateway, "reviews", map[string]int{"reviews-v1": 0, "reviews-v3": 100})
	expectKept("all on v3")
	expectShares(t, "all on v3", versionsOf(t, gateway.Client(t), 100, "/reviews/1"), map[string]int{"v3": 1})
	expectNoFindings(t, s)
}
