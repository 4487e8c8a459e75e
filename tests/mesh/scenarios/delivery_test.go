//go:build mesh

package scenarios

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/mooring"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// What clients see while a tool of progressive delivery releases versions.

// newUsers is the number of clients that come as a new user each time: fifty requests a second.
const newUsers = 10

// A delivery is the load during releases: visitors, who keep their cookies, and new users.
type delivery struct {
	newClient func(testing.TB) *traffic.Client
	path      string
	visitors  []*traffic.Load
	users     *traffic.Load
	writes    func() int     // of the controller so far; nil without one
	failures  map[string]int // by phase, who sent the request, and error
}

// startDelivery starts new users, and the first visitors.
func startDelivery(t *testing.T, newClient func(testing.TB) *traffic.Client, path string) *delivery {
	t.Helper()
	d := startDeliveryWithoutSessions(t, newClient, path)
	d.join(t)
	return d
}

// startDeliveryWithoutSessions starts new users only.
func startDeliveryWithoutSessions(t *testing.T, newClient func(testing.TB) *traffic.Client, path string) *delivery {
	t.Helper()
	return &delivery{newClient: newClient, path: path, failures: map[string]int{}, users: traffic.StartNewUsers(t, newUsers, path, newClient)}
}

// join starts more visitors, and waits until each has a session. It returns them.
func (d *delivery) join(t *testing.T) *traffic.Load {
	t.Helper()
	joined := traffic.StartLoad(t, loadSize/2, d.path, d.newClient)
	wait.Eventually(t, "each client has a session", func() error { return atLeast(loadSize/2, joined.Totals().Cookies) })
	joined.AwaitAllClients(t)
	d.visitors = append(d.visitors, joined)
	return joined
}

// leave returns clients that have a session on a version and then send nothing until the test does.
func (d *delivery) leave(t *testing.T, version string, count int) []*traffic.Client {
	t.Helper()
	var away []*traffic.Client
	wait.Eventually(t, fmt.Sprintf("%d clients have a session on %s", count, version), func() error {
		client := d.newClient(t)
		if client.Get(t, d.path).Version == version {
			away = append(away, client)
		}
		return atLeast(count, len(away))
	})
	return away
}

// comeBack returns which versions clients see who have been away.
func (d *delivery) comeBack(t *testing.T, away []*traffic.Client) map[string]int {
	t.Helper()
	on := map[string]int{}
	for _, client := range away {
		on[client.Get(t, d.path).Version]++
	}
	return on
}

// on returns how many visitors each version has.
func (d *delivery) on() map[string]int {
	all := map[string]int{}
	for _, load := range d.visitors {
		for version, n := range load.ClientsByVersion() {
			all[version] += n
		}
	}
	return all
}

// last returns when a version answered a visitor the last time.
func (d *delivery) last(version string) time.Time {
	var last time.Time
	for _, load := range d.visitors {
		if at := load.Answered(version).Last; at.After(last) {
			last = at
		}
	}
	return last
}

// A phase is what visitors and new users saw during one.
type phase struct {
	what            string
	took            time.Duration
	requests        int
	moves, failures map[string]int
	movesFromPod    map[string]int
	users           map[string]int // requests of new users by version
	failedUsers     map[string]int // requests of new users by error
}

// during calls change and returns what visitors saw from before it until each has had two more answers. It logs that.
func (d *delivery) during(t *testing.T, what string, change func()) phase {
	t.Helper()
	loads := append([]*traffic.Load{d.users}, d.visitors...)
	var before []traffic.Totals
	for _, load := range loads {
		before = append(before, load.Totals())
	}
	began, writes := time.Now(), 0
	if d.writes != nil {
		writes = d.writes()
	}
	change()
	seen := phase{what: what, moves: map[string]int{}, movesFromPod: map[string]int{}, failures: map[string]int{}, failedUsers: map[string]int{}}
	for _, load := range loads {
		load.AwaitAllClients(t)
	}
	seen.took = time.Since(began)
	for i, load := range loads {
		totals := load.Totals().Since(before[i])
		who, failures := "visitors", seen.failures
		if load == d.users {
			who, failures, seen.users = "new users", seen.failedUsers, totals.Versions
		} else {
			seen.requests += totals.Requests
		}
		for move, n := range totals.VersionMoves {
			seen.moves[move] += n
		}
		for move, n := range totals.MovesFromPod {
			seen.movesFromPod[move] += n
		}
		for failure, n := range totals.Failures {
			failures[failure] += n
			d.failures[what+": "+who+": "+failure] += n
		}
	}
	if d.writes != nil {
		writes = d.writes() - writes
	}
	t.Logf("%s (%.1f s): visitors on %v, %d requests, failed %v, moves %v; new users on %v, failed %v; %d writes of the controller",
		what, seen.took.Seconds(), d.on(), seen.requests, seen.failures, seen.moves, seen.users, seen.failedUsers, writes)
	return seen
}

// expectShare expects the share of new users that the weights give.
func (d *delivery) expectShare(t *testing.T, what string, weights map[string]int) {
	t.Helper()
	before := d.users.Totals()
	d.users.Await(t, 300)
	expectShares(t, what, d.users.Totals().Since(before).Versions, weights)
}

// awaitAllOn waits until all visitors are on a version.
func (d *delivery) awaitAllOn(t *testing.T, version string) {
	t.Helper()
	wait.Eventually(t, "all visitors are on "+version, func() error {
		on := d.on()
		for other, n := range on {
			if other != version && n > 0 {
				return fmt.Errorf("they are on %v", on)
			}
		}
		return nil
	})
}

// expectMoves fails if visitors have moved between versions in another way than these: from→to.
func expectMoves(t *testing.T, seen phase, allowed ...string) {
	t.Helper()
	for _, move := range slices.Sorted(maps.Keys(seen.moves)) {
		if !slices.Contains(allowed, move) {
			t.Errorf("%s: %d moves %s; only %q are expected", seen.what, seen.moves[move], move, allowed)
		}
	}
}

// expectNoFailures fails if a request has failed, except those of a phase and of visitors or new users: "rollback: visitors".
func (d *delivery) expectNoFailures(t *testing.T, excepted ...string) {
	t.Helper()
	for _, failure := range slices.Sorted(maps.Keys(d.failures)) {
		if !slices.ContainsFunc(excepted, func(text string) bool { return strings.HasPrefix(failure, text+": ") }) {
			t.Errorf("%d requests failed: %s", d.failures[failure], failure)
		}
	}
}

func sum(counts map[string]int) int {
	n := 0
	for _, count := range counts {
		n += count
	}
	return n
}

// awaitSplit waits until all workers have a route that is no session route and has these weights, by parts of the clusters' names.
func awaitSplit(t *testing.T, e *envoy.Envoy, weights map[string]int) {
	t.Helper()
	e.Await(t, fmt.Sprintf("a route has the weights %v", weights), func() error {
		routes, err := e.Routes()
		if err != nil {
			return err
		}
		for _, r := range routes {
			if mooring.SessionKey(r) == "" && maps.Equal(weightsOf(r, weights), weights) {
				return nil
			}
		}
		return fmt.Errorf("none of %d routes", len(routes))
	})
}

// canaryWeight returns the weight of the last backend of a route, whose backends are two: an HTTPRoute or a VirtualService.
func canaryWeight(route *kube.Object) (int64, bool) {
	for _, path := range [][2]string{{"rules", "backendRefs"}, {"http", "route"}} {
		rules, _, _ := unstructured.NestedSlice(route.Object, "spec", path[0])
		for _, rule := range rules {
			rule, _ := rule.(map[string]any)
			backends, _, _ := unstructured.NestedSlice(rule, path[1])
			if len(backends) != 2 {
				continue
			}
			backend, _ := backends[1].(map[string]any)
			weight, _, _ := unstructured.NestedInt64(backend, "weight")
			return weight, true
		}
	}
	return 0, false
}
