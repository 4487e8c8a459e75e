package scenarios

import (
	"fmt"
	"testing"

	"mooring.dev/tests/mesh/rig"
)

// The policies of the examples, as they are, with pods of the rig's.

const examples = "../../../../examples/" // from a scenario's folder

func TestTheExampleOfACanaryByCookie(t *testing.T) {
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
	s := rig.Start(t, "examples", rig.GatewayEnv(keys))
	s.ApplyFile(examples + "sticky-canary/canary.yaml")
	s.Deploy()
	visitor := s.Gateway("web").Client()
	// By chance, and by the users' names: each new user, and each again from another machine.
	expectShares(t, "anonymous", versionsOf(visitor, newcomers, "/"), map[string]int{"v1": 90, "v2": 10})
	users := map[string]int{}
	for i := range newcomers {
		user := rig.Header("User", fmt.Sprintf("user%d", i))
		visitor.Forget()
		first := visitor.Get("/", user)
		visitor.Forget()
		if again := visitor.Get("/", user); again.Version != first.Version {
			t.Fatalf("user %d sees %s here and %s there", i, first.Version, again.Version)
		}
		users[first.Version]++
	}
	expectShares(t, "by user", users, map[string]int{"v1": 90, "v2": 10})
	always := rig.Header("X-Canary", "always")
	expectShares(t, "by choice", versionsOf(visitor, 100, "/", always), map[string]int{"v2": 1})
	never := rig.Header("X-Canary", "never")
	expectShares(t, "by choice not", versionsOf(visitor, 100, "/", never), map[string]int{"v1": 1})
	expectHarmless(t, s)
}

func TestTheExampleOfBookinfoByVirtualService(t *testing.T) {
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
