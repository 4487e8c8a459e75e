//go:build mesh

package scenarios

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// helloworld in two zones of one region and in one of another, called from the sleep pod in the first zone: the example mesh-locality.

const (
	sleepHost    = "helloworld.sample:5000"
	sleepCluster = "outbound|5000||helloworld.sample.svc.cluster.local"
	sleepCallers = "sample/app=sleep"
)

func startSleep(t *testing.T) (*scenario.Scenario, scenario.Caller) {
	t.Helper()
	s := rig.Start(t, "mesh-locality", scenario.WithNamespace("sample"), scenario.WithGatewayEnv(keys),
		scenario.WithExample("mesh-locality", "locality/app.yaml", "locality/failover.yaml", "locality/sessions.yaml"))
	from := s.From(t, scenario.FromSidecar("sleep"))
	from.Proxy().AwaitCluster(t, sleepCluster, `"outlier_detection"`)
	from.Proxy().AwaitCluster(t, sleepCluster, `"locality_weighted_lb_config"`)
	return s, from
}

// sleepers makes callers that keep the cookie of their session.
func sleepers(t *testing.T, from scenario.Caller) func(testing.TB) *traffic.Client {
	t.Helper()
	return func(testing.TB) *traffic.Client { return from.ClientForHost(t, sleepHost) }
}

// settleSleepers returns n callers with a session.
func settleSleepers(t *testing.T, newClient func(testing.TB) *traffic.Client, n int) population {
	t.Helper()
	settled, zones := population{}, map[string]int{}
	for range n {
		client := newClient(t)
		first := client.Get(t, "/hello")
		cookieOf(t, first, "hello-session")
		settled[client] = first
		zones[first.Version]++
	}
	t.Logf("%d callers with a session: %v", n, zones)
	return settled
}

// Each zone drains under load, one after the other: each session moves once for each zone that it loses, and no request fails.
func TestWalkThroughLocalityFailoverFromTheSleepPod(t *testing.T) {
	t.Parallel()
	s, from := startSleep(t)
	s.Mooring.Deploy(t, "--callers", sleepCallers)
	newClient := sleepers(t, from)
	fresh := newClient(t)
	zones := func(n int) map[string]int { return versionsOf(t, fresh, n, "/hello") }
	expectShares(t, "all zones serve", zones(200), map[string]int{"zone1": 1})
	settled := settleSleepers(t, newClient, 20)
	const clients = 25
	load := traffic.StartLoad(t, clients, "/hello", newClient)
	load.AwaitAllClients(t)
	for i, next := range []string{"zone2", "zone3"} {
		zone := fmt.Sprintf("zone%d", i+1)
		before := load.Totals()
		settled.expectNoMoves(t, zone+" serves", "/hello", 5, toPod)
		s.Pods.RetireAll(t, "helloworld-"+zone)
		load.AwaitAllClients(t)
		seen := load.Totals().Since(before)
		t.Logf("%s drains and ends: %d requests, %d failed, %d moves of %d callers", zone, seen.Requests, seen.Failed, seen.Moves, clients)
		if seen.Failed > 0 || seen.Moves != clients {
			t.Errorf("%s drains: %d requests failed %v, %d moves of %d callers", zone, seen.Failed, seen.Failures, seen.Moves, clients)
		}
		settled.expectMovedOnce(t, zone+" is gone", "/hello", 3, toPod, "helloworld-"+zone+"-0", "helloworld-"+zone+"-1")
		for _, at := range settled {
			if at.Version != next {
				t.Fatalf("%s is gone: a session is in %s and not in %s", zone, at.Version, next)
			}
		}
		expectShares(t, zone+" is gone", zones(200), map[string]int{next: 1})
	}
	total := load.Stop()
	t.Logf("in all: %s", total)
	expectNoFindings(t, s)
}

// A distribution is a test of the distribution 10/10/80.
type distribution struct {
	t         *testing.T
	s         *scenario.Scenario
	from      scenario.Caller
	newClient func(testing.TB) *traffic.Client
	fresh     *traffic.Client
}

// set makes the distribution that of the walk-through, from one locality and with another one for the pods in the west.
func (d *distribution) set(from, west string) {
	d.t.Helper()
	d.s.Patch(d.t, istioGroup, "DestinationRule", "helloworld", fmt.Sprintf(`{"spec":{"trafficPolicy":{"loadBalancer":{"localityLbSetting":
		{"failover":null,"distribute":[{"from":%q,"to":{"east/zone1/*":10,"east/zone2/*":10,%q:80}}]}}}}}`, from, west))
}

// expect waits until new callers have these shares, because the sidecar gets localities and their weights at different times, and then
// measures them.
func (d *distribution) expect(what string, weights map[string]int) {
	d.t.Helper()
	sum := 0
	for _, weight := range weights {
		sum += weight
	}
	wait.Eventually(d.t, what, func() error {
		zones := versionsOf(d.t, d.fresh, 100, "/hello")
		for _, zone := range []string{"zone1", "zone2", "zone3", "imported"} {
			if off := zones[zone] - 100*weights[zone]/sum; off < -5 || off > 5 {
				return fmt.Errorf("100 new callers: %v", zones)
			}
		}
		return nil
	})
	expectShares(d.t, what, versionsOf(d.t, d.fresh, sampleSize, "/hello"), weights)
}

func ofZones(zone1, zone2, zone3 int) map[string]int {
	return map[string]int{"zone1": zone1, "zone2": zone2, "zone3": zone3}
}

// The distribution 10/10/80 did not come out as configured for the author of the walk-through. On the rig it does, without and with
// sessions, except for the reasons below.
func TestWalkThroughLocalityDistributionFromTheSleepPod(t *testing.T) {
	t.Parallel()
	s, from := startSleep(t)
	d := &distribution{t, s, from, sleepers(t, from), from.ClientForHost(t, sleepHost)}
	d.set("east/zone1/*", "us/west/zone3/*")
	d.expect("Istio alone, to us/west/zone3, but the pods are in west/zone3", ofZones(50, 50, 0))
	expectNoFindings(t, s) // istioctl analyze does not see it
	d.set("us/east/zone1/*", "west/zone3/*")
	d.expect("Istio alone, from us/east/zone1, but the caller is in east/zone1", ofZones(1, 1, 1))
	d.set("east/zone1/*", "west/zone3/*")
	d.expect("Istio alone, to west/zone3", ofZones(10, 10, 80))
	expectShares(t, "Istio alone, to west/zone3, each request on a new connection", connectionsOf(t, d.newClient, 200), ofZones(10, 10, 80))
	s.Pods.Scale(t, "helloworld-zone2", 0)
	d.expect("Istio alone, zone2 has no pods", ofZones(10, 0, 80))
	s.Pods.Scale(t, "helloworld-zone2", 2)
	s.Patch(t, istioGroup, "DestinationRule", "helloworld", `{"spec":{"trafficPolicy":{"outlierDetection":null}}}`)
	from.Proxy().AwaitClusterWithout(t, sleepCluster, `"outlier_detection"`)
	d.expect("Istio alone, without outlier detection", ofZones(10, 10, 80))
	s.PatchFile(t, istioGroup, "DestinationRule", "helloworld", rig.Env.RepositoryFile("examples/locality/failover.yaml"))
	from.Proxy().AwaitCluster(t, sleepCluster, `"outlier_detection"`)

	s.PatchFile(t, istioGroup, "DestinationRule", "helloworld", rig.Env.RepositoryFile("examples/locality/distribute.patch"))
	s.Mooring.Deploy(t, "--callers", sleepCallers)
	d.expect("with sessions, new callers", ofZones(10, 10, 80))
	settled := settleSleepers(t, d.newClient, 100)
	settled.expectNoMoves(t, "with sessions", "/hello", 10, toPod)
	expectShares(t, "with sessions, requests of the 100 callers", settled.versions(), ofZones(10, 10, 80))
	d.expectEjection(settled)
	d.expectImported()
	expectNoFindings(t, s)
}

// expectEjection has one request fail, which ejects a pod of zone3 for a minute. A zone with half of its pods counts 1.4 times one half:
// its weight is 56 and no longer 80. Then it ejects both pods.
func (d *distribution) expectEjection(settled population) {
	d.t.Helper()
	pod := d.s.Pod(d.t, "helloworld-zone3-1")
	pod.Crash()
	d.from.Proxy().AwaitEjected(d.t, sleepCluster, func() { d.fresh.ForgetCookies(); d.fresh.Get(d.t, "/hello") }, pod.IP)
	if err := pod.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.expect("a pod of zone3 is ejected, although it serves again", ofZones(10, 10, 56))
	settled.expectMovedOnce(d.t, "a pod of zone3 is ejected", "/hello", 5, toPod, pod.Name)

	other := d.s.Pod(d.t, "helloworld-zone3-0")
	pod.Crash()
	other.Crash()
	d.from.Proxy().AwaitEjected(d.t, sleepCluster, func() { d.fresh.ForgetCookies(); d.fresh.Get(d.t, "/hello") }, pod.IP, other.IP)
	d.expect("both pods of zone3 are ejected", ofZones(10, 10, 0))
	settled.expectMovedOnce(d.t, "both pods of zone3 are ejected", "/hello", 5, toPod, pod.Name, other.Name)
}

// expectImported replaces the pods of zone3 by a pod of another cluster, whose locality is us/west/zone3.
func (d *distribution) expectImported() {
	d.t.Helper()
	d.s.Pods.Scale(d.t, "helloworld-zone3", 0)
	entry := filepath.Join(d.t.TempDir(), "imported.yaml")
	text := fmt.Sprintf(`{"apiVersion":"networking.istio.io/v1","kind":"WorkloadEntry","metadata":{"name":"imported"},"spec":
		{"address":%q,"locality":"us/west/zone3","labels":{"app":"helloworld","version":"imported"}}}`, d.s.Pod(d.t, "imported-0").IP)
	if err := os.WriteFile(entry, []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
	if err := d.s.TryApplyFile(d.t, entry); err != nil {
		d.t.Fatal(err)
	}
	d.expect("to west/zone3, but the imported pod is in us/west/zone3", ofZones(50, 50, 0))
	d.set("east/zone1/*", "us/west/zone3/*")
	d.expect("to us/west/zone3, as the imported pod", map[string]int{"zone1": 10, "zone2": 10, "imported": 80})
}

// connectionsOf counts the versions that n new callers reach, each over a new connection.
func connectionsOf(t *testing.T, newClient func(testing.TB) *traffic.Client, n int) map[string]int {
	t.Helper()
	return traffic.Tally(n, func() string {
		client := newClient(t)
		defer client.Close()
		return client.Get(t, "/hello").Version
	})
}

// versions counts the callers by the version that they are on.
func (p population) versions() map[string]int {
	counts := map[string]int{}
	for _, at := range p {
		counts[at.Version]++
	}
	return counts
}
