package rig

import (
	"fmt"
	"maps"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Load is many visitors at once, each with cookies and a connection of its own, who send one request after another
// until Stop.
type Load struct {
	t        testing.TB
	stop     chan struct{}
	stopping sync.Once
	visitors sync.WaitGroup
	requests atomic.Int64

	mu     sync.Mutex
	totals Totals
	at     map[*Client]string // the pod that each visitor came to last
	served map[*Client]int    // how often each was answered by a pod
}

// Totals is what the visitors of a Load saw.
type Totals struct {
	Requests int
	Failed   int            // no answer, or not 200
	Failures map[string]int // how they failed
	FailedOf map[string]int // failures by the pod that the visitor had come to last
	Moves    int            // a visitor who got another pod than the time before
	Movers   int            // visitors to whom that happened
	Cookies  int            // Set-Cookie headers
	Pods     map[string]int // requests by pod
	Slowest  time.Duration
}

func (t Totals) String() string {
	return fmt.Sprintf("%d requests, %d failed %v, %d moves of %d visitors, %d cookies set, slowest %s, pods %v",
		t.Requests, t.Failed, t.Failures, t.Moves, t.Movers, t.Cookies, t.Slowest.Round(time.Millisecond), t.Pods)
}

// pace is the pause of each visitor: fifty of them send 250 requests a second, and the machine has other things to do meanwhile.
const pace = 200 * time.Millisecond

// StartLoad sets visitors off; each comes from newClient, on the test's goroutine.
func StartLoad(t testing.TB, visitors int, path string, newClient func() *Client) *Load {
	load := &Load{t: t, stop: make(chan struct{}), at: map[*Client]string{}, served: map[*Client]int{},
		totals: Totals{Failures: map[string]int{}, FailedOf: map[string]int{}, Pods: map[string]int{}}}
	var clients []*Client
	for range visitors {
		clients = append(clients, newClient())
		load.served[clients[len(clients)-1]] = 0
	}
	for _, client := range clients {
		load.visitors.Go(func() { load.visit(client, path) })
	}
	t.Cleanup(func() { load.Stop() })
	return load
}

func (l *Load) visit(client *Client, path string) {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	var pod string
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
					l.totals.Movers++
				}
				moved = true
			}
			pod = reply.Pod
			l.at[client] = pod
			l.served[client]++
		}
		l.mu.Unlock()
		select {
		case <-l.stop:
			return
		case <-ticker.C:
		}
	}
}

func (l *Load) fail(pod, how string) {
	l.totals.Failed++
	l.totals.FailedOf[pod]++
	// The ports of a broken connection would make each failure one of its own.
	l.totals.Failures[addresses.ReplaceAllString(how, "")]++
}

var addresses = regexp.MustCompile(` ?[0-9.]+:[0-9]+(->)?`)

// Await waits until this many more requests have been answered, so that whatever happened before is in the totals.
func (l *Load) Await(more int) {
	l.t.Helper()
	target := l.requests.Load() + int64(more)
	Eventually(l.t, fmt.Sprintf("%d more requests", more), func() error {
		if have := l.requests.Load(); have < target {
			return fmt.Errorf("%d are missing", target-have)
		}
		return nil
	})
}

// AwaitEverybody waits until each visitor has been answered by a pod twice more: at least the second time, she asked after this.
func (l *Load) AwaitEverybody() {
	l.t.Helper()
	l.mu.Lock()
	before := maps.Clone(l.served)
	l.mu.Unlock()
	Eventually(l.t, "everybody has been served", func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		for client, n := range before {
			if l.served[client] < n+2 {
				return fmt.Errorf("somebody has been served %d times", l.served[client]-n)
			}
		}
		return nil
	})
}

// SoFar is the totals up to now.
func (l *Load) SoFar() Totals {
	l.mu.Lock()
	defer l.mu.Unlock()
	totals := l.totals
	totals.Failures, totals.FailedOf = maps.Clone(totals.Failures), maps.Clone(totals.FailedOf)
	totals.Pods = maps.Clone(totals.Pods)
	return totals
}

// Since is what came after an earlier look.
func (t Totals) Since(before Totals) Totals {
	t.Requests -= before.Requests
	t.Failed -= before.Failed
	t.Moves -= before.Moves
	t.Movers -= before.Movers
	t.Cookies -= before.Cookies
	for _, counts := range []struct{ now, before map[string]int }{
		{t.Failures, before.Failures}, {t.FailedOf, before.FailedOf}, {t.Pods, before.Pods},
	} {
		for name, n := range counts.before {
			if counts.now[name] -= n; counts.now[name] == 0 {
				delete(counts.now, name)
			}
		}
	}
	return t
}

// At counts the visitors by the pod that each came to last.
func (l *Load) At() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := map[string]int{}
	for _, pod := range l.at {
		counts[pod]++
	}
	return counts
}

// During does something, waits for this many requests more, and says what the visitors saw meanwhile.
func (l *Load) During(what string, requests int, change func()) Totals {
	l.t.Helper()
	before := l.SoFar()
	change()
	l.Await(requests)
	seen := l.SoFar().Since(before)
	l.t.Logf("%s: %d requests, %d failed %v, %d sessions moved", what, seen.Requests, seen.Failed, seen.Failures, seen.Moves)
	return seen
}

// Stop ends the visits, after the answers that are under way.
func (l *Load) Stop() Totals {
	l.stopping.Do(func() { close(l.stop) })
	l.visitors.Wait()
	return l.SoFar()
}
