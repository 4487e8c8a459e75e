package traffic

import (
	"fmt"
	"maps"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mooring.dev/tests/mesh/internal/wait"
)

// A Load is many clients at once, each with its own cookies and connection. They send one request after another until Stop. It is
// safe for concurrent use.
type Load struct {
	stop     chan struct{}
	stopping sync.Once
	forget   bool // each request is that of a new user
	clients  sync.WaitGroup
	requests atomic.Int64

	mu     sync.Mutex
	totals Totals
	pods   map[*Client]string // the pod that last answered each client
	vers   map[*Client]string // its version
	times  map[string]*Times  // by version
	served map[*Client]int    // how many requests of each client a pod has answered
}

// Times are when a version answered the first time and the last time.
type Times struct{ First, Last time.Time }

// Totals counts what the clients of a Load saw.
type Totals struct {
	Requests     int
	Failed       int            // requests without a response or with another status than 200
	Failures     map[string]int // failed requests by error
	FailedByPod  map[string]int // failed requests by the pod that had last answered the client
	Moves        int            // responses from another pod than the one before
	MovedClients int            // clients with at least one move
	Cookies      int            // Set-Cookie headers
	Pods         map[string]int // requests by pod
	Versions     map[string]int // requests by version
	VersionMoves map[string]int // responses from another version than the one before, such as v1→v2
	MovesFromPod map[string]int // the same with the pod before, such as web-0 v1→v2
	Slowest      time.Duration
}

func (t Totals) String() string {
	return fmt.Sprintf("%d requests, %d failed %v, %d moves of %d clients, %d cookies set, slowest %s, pods %v",
		t.Requests, t.Failed, t.Failures, t.Moves, t.MovedClients, t.Cookies, t.Slowest.Round(time.Millisecond), t.Pods)
}

// pace is the time between two requests of a client. Fifty clients send 250 requests a second, which leaves a small machine time for
// the rest of the run.
const pace = 200 * time.Millisecond

// StartLoad starts clients, which newClient makes on the test's goroutine. They stop at the latest when the test ends.
func StartLoad(t testing.TB, count int, path string, newClient func(testing.TB) *Client) *Load {
	return startLoad(t, &Load{}, count, path, newClient)
}

// StartNewUsers is StartLoad with clients that forget their cookies after each response, so that each request is that of a new user.
func StartNewUsers(t testing.TB, count int, path string, newClient func(testing.TB) *Client) *Load {
	return startLoad(t, &Load{forget: true}, count, path, newClient)
}

func startLoad(t testing.TB, load *Load, count int, path string, newClient func(testing.TB) *Client) *Load {
	load.stop = make(chan struct{})
	load.pods, load.vers, load.served = map[*Client]string{}, map[*Client]string{}, map[*Client]int{}
	load.times = map[string]*Times{}
	load.totals = Totals{Failures: map[string]int{}, FailedByPod: map[string]int{}, Pods: map[string]int{},
		Versions: map[string]int{}, VersionMoves: map[string]int{}, MovesFromPod: map[string]int{}}
	var clients []*Client
	for range count {
		clients = append(clients, newClient(t))
		load.served[clients[len(clients)-1]] = 0
	}
	for _, client := range clients {
		load.clients.Go(func() { load.send(client, path) })
	}
	t.Cleanup(func() { load.Stop() })
	return load
}

func (l *Load) send(client *Client, path string) {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	var pod, version string
	moved := false
	for {
		began := time.Now()
		reply, err := client.Try(path)
		took := time.Since(began)
		l.requests.Add(1)
		l.mu.Lock()
		l.totals.Requests++
		l.totals.Cookies += len(reply.SetCookie)
		l.totals.Slowest = max(l.totals.Slowest, took)
		switch {
		case err != nil:
			l.fail(pod, err.Error())
		case reply.Status != 200:
			l.fail(pod, fmt.Sprintf("status %d: %.80s", reply.Status, reply.Body))
		default:
			l.totals.Pods[reply.Pod]++
			if pod != "" && pod != reply.Pod {
				l.totals.Moves++
				if !moved {
					l.totals.MovedClients++
				}
				moved = true
			}
			l.totals.Versions[reply.Version]++
			l.answered(reply.Version, began.Add(took))
			if pod != "" && version != reply.Version {
				move := version + "→" + reply.Version
				l.totals.VersionMoves[move]++
				l.totals.MovesFromPod[pod+" "+move]++
			}
			pod, version = reply.Pod, reply.Version
			l.pods[client], l.vers[client] = pod, version
			l.served[client]++
		}
		l.mu.Unlock()
		if l.forget {
			client.ForgetCookies()
			pod = ""
		}
		select {
		case <-l.stop:
			return
		case <-ticker.C:
		}
	}
}

func (l *Load) answered(version string, at time.Time) {
	if l.times[version] == nil {
		l.times[version] = &Times{First: at}
	}
	l.times[version].Last = at
}

// Answered returns when a version answered.
func (l *Load) Answered(version string) Times {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.times[version] == nil {
		return Times{}
	}
	return *l.times[version]
}

func (l *Load) fail(pod, message string) {
	l.totals.Failed++
	l.totals.FailedByPod[pod]++
	// Without the addresses, because the ports of broken connections differ.
	l.totals.Failures[addresses.ReplaceAllString(message, "")]++
}

var addresses = regexp.MustCompile(` ?[0-9.]+:[0-9]+(->)?`)

// Await waits until this many more requests have ended, so that the totals include what happened before.
func (l *Load) Await(t testing.TB, more int) {
	t.Helper()
	target := l.requests.Load() + int64(more)
	wait.Eventually(t, fmt.Sprintf("%d more requests", more), func() error {
		if have := l.requests.Load(); have < target {
			return fmt.Errorf("%d are missing", target-have)
		}
		return nil
	})
}

// AwaitAllClients waits until a pod has answered each client twice more. The second of these requests was sent after the call.
func (l *Load) AwaitAllClients(t testing.TB) {
	t.Helper()
	l.mu.Lock()
	before := maps.Clone(l.served)
	l.mu.Unlock()
	wait.Eventually(t, "a pod has answered each client twice more", func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		for client, n := range before {
			if l.served[client] < n+2 {
				return fmt.Errorf("one client has had %d answers", l.served[client]-n)
			}
		}
		return nil
	})
}

// Totals returns the counts up to now.
func (l *Load) Totals() Totals {
	l.mu.Lock()
	defer l.mu.Unlock()
	totals := l.totals
	totals.Failures, totals.FailedByPod = maps.Clone(totals.Failures), maps.Clone(totals.FailedByPod)
	totals.Pods = maps.Clone(totals.Pods)
	totals.Versions, totals.VersionMoves = maps.Clone(totals.Versions), maps.Clone(totals.VersionMoves)
	totals.MovesFromPod = maps.Clone(totals.MovesFromPod)
	return totals
}

// Since returns the counts since earlier totals of the same Load. Slowest is that of the whole time.
func (t Totals) Since(before Totals) Totals {
	t.Requests -= before.Requests
	t.Failed -= before.Failed
	t.Moves -= before.Moves
	t.MovedClients -= before.MovedClients
	t.Cookies -= before.Cookies
	for _, counts := range []struct{ now, before map[string]int }{
		{t.Failures, before.Failures}, {t.FailedByPod, before.FailedByPod}, {t.Pods, before.Pods},
		{t.Versions, before.Versions}, {t.VersionMoves, before.VersionMoves},
		{t.MovesFromPod, before.MovesFromPod},
	} {
		for name, n := range counts.before {
			if counts.now[name] -= n; counts.now[name] == 0 {
				delete(counts.now, name)
			}
		}
	}
	return t
}

// ClientsByPod counts the clients by the pod that last answered each.
func (l *Load) ClientsByPod() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := map[string]int{}
	for _, pod := range l.pods {
		counts[pod]++
	}
	return counts
}

// ClientsByVersion counts the clients by the version that last answered each.
func (l *Load) ClientsByVersion() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := map[string]int{}
	for _, version := range l.vers {
		counts[version]++
	}
	return counts
}

// During calls change, waits for this many more requests, and returns what the clients saw meanwhile. It logs this under the name
// what.
func (l *Load) During(t testing.TB, what string, requests int, change func()) Totals {
	t.Helper()
	before := l.Totals()
	change()
	l.Await(t, requests)
	seen := l.Totals().Since(before)
	t.Logf("%s: %d requests, %d failed %v, %d sessions moved", what, seen.Requests, seen.Failed, seen.Failures, seen.Moves)
	return seen
}

// Stop ends the load after the responses in flight, and returns its totals.
func (l *Load) Stop() Totals {
	l.stopping.Do(func() { close(l.stop) })
	l.clients.Wait()
	return l.Totals()
}
