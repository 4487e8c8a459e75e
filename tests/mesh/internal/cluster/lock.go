package cluster

import (
	"fmt"
	"strings"
	"sync"
)

// A Lock lets scenarios in different namespaces share a control plane at the same time. Scenarios in one namespace wait for each
// other, and an exclusive scenario waits for all.
type Lock struct {
	mu        sync.Mutex
	changed   sync.Cond
	users     map[string]string // namespace to the name of the test that uses it
	exclusive bool              // the only user is exclusive
}

// Acquire waits until the namespace is free and, if exclusive, until no namespace is in use. It returns an error if the test, or the
// test that it is a subtest of, holds the namespace already: it would wait for itself.
func (l *Lock) Acquire(test, namespace string, exclusive bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed.L = &l.mu
	for {
		user := l.users[namespace]
		if user != "" && (test == user || strings.HasPrefix(test, user+"/")) {
			return fmt.Errorf("namespace %s is in use by %s: start a scenario again only in its own subtest", namespace, user)
		}
		if user == "" && !l.exclusive && (!exclusive || len(l.users) == 0) {
			break
		}
		l.changed.Wait()
	}
	if l.users == nil {
		l.users = map[string]string{}
	}
	l.users[namespace], l.exclusive = test, exclusive
	return nil
}

// Release frees the namespace.
func (l *Lock) Release(namespace string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.users, namespace)
	l.exclusive = false
	l.changed.L = &l.mu
	l.changed.Broadcast()
}
