package rig

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// claims let scenarios of different namespaces share a control plane at the same time. Those of one namespace wait for each
// other, and one that is to be alone waits for all.
type claims struct {
	mu      sync.Mutex
	changed sync.Cond
	inUse   map[string]string // namespace → name of the test that uses it
	alone   bool              // the only one in use wants no other beside it
}

// claim waits until the namespace is free, and until no other one is in use if the scenario is to be alone. A test that waits
// for itself is an error.
func (c *claims) claim(t testing.TB, namespace string, alone bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed.L = &c.mu
	for {
		user := c.inUse[namespace]
		if user != "" && (t.Name() == user || strings.HasPrefix(t.Name(), user+"/")) {
			return fmt.Errorf("scenario %s is running already; in one test, start it again only in a subtest of its own", namespace)
		}
		if user == "" && !c.alone && (!alone || len(c.inUse) == 0) {
			break
		}
		c.changed.Wait()
	}
	if c.inUse == nil {
		c.inUse = map[string]string{}
	}
	c.inUse[namespace], c.alone = t.Name(), alone
	return nil
}

func (c *claims) release(namespace string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.inUse, namespace)
	c.alone = false
	c.changed.L = &c.mu
	c.changed.Broadcast()
}
