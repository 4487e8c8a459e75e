package scenarios

import (
	"fmt"
	"slices"
	"testing"

	"mooring.dev/tests/mesh/rig"
)

// The policies of the examples, as they are, with pods of the rig's.

const examples = "../../../../examples/" // from a scenario's folder

func TestTheExampleOfACanaryByCookie(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "examples", rig.GatewayEnv(keys))
	s.ApplyFile(examples + "canary-by-cookie/canary.yaml")
	s.Deploy()
	visitor := visitorAt(s.Gateway("web"), "myweb.example.com")
	expectShares(t, "everyone", versionsOf(visitor, 100, "/"), map[string]int{"v1": 1})
	testers := versionsOf(visitor, 100, "/", rig.Header("Cookie", "usertype=tester"))
	expectShares(t, "testers", testers, map[string]int{"v2": 1})
	expectHarmless(t, s)
}

func TestTheExampleOfAStickyCanary(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "examples", rig.GatewayEnv(keys))
	s.ApplyFile(examples + "sticky-canary/canary.yaml")
	s.Deploy()
	visitor := s.Gateway("web").Client()
	// By chance, and by the users' names: each new user, and each again from another machine.
	expectShares(t, "anonymous", versionsOf(visitor, newcomers, "/"), map[string]int{"v1": 90, "v2": 10})
	users := func() (versions []string) {
		for i := range newcomers {
			visitor.Forget()
			versions = append(versions, visitor.Get("/", rig.Header("User", fmt.Sprintf("user%d", i))).Version)
		}
		return versions
	}
	before := users()
	expectShares(t, "by user", tally(before), map[string]int{"v1": 90, "v2": 10})
	if again := users(); !slices.Equal(again, before) {
		t.Error("a user sees one version here and another there")
	}
	always := rig.Header("X-Canary", "always")
	expectShares(t, "by choice", versionsOf(visitor, 100, "/", always), map[string]int{"v2": 1})
	never := rig.Header("X-Canary", "never")
	expectShares(t, "by choice not", versionsOf(visitor, 100, "/", never), map[string]int{"v1": 1})
	expectHarmless(t, s)

	// The tenth that v2 gets more comes from v1, and nobody else moves. Each of the 1000 users is v1 before and v2
	// after with a probability of a tenth.
	s.Patch(gatewayGroup, "HTTPRoute", "shop", `{"spec":{"rules":[{"name":"shop","backendRefs":[
		{"name":"shop-v1","port":80,"weight":80},{"name":"shop-v2","port":80,"weight":20}]}]}}`)
	s.Deploy()
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

func TestTheExampleOfBookinfoByVirtualService(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "bookinfo", rig.GatewayEnv(keys))
	s.ApplyFile(examples + "bookinfo-virtualservice/reviews.yaml")
	s.Deploy()
	visitor := s.Gateway("ingressgateway").Client()
	weights := map[string]int{"v1": 60, "v2": 30, "v3": 10}
	expectShares(t, "everyone", versionsOf(visitor, newcomers, "/reviews/1"), weights)
	testers := versionsOf(visitor, 100, "/reviews/1", rig.Header("Cookie", "usertype=tester"))
	expectShares(t, "testers", testers, map[string]int{"v3": 1})
	expectHarmless(t, s)
}
