package rig

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

const (
	// The pause between two looks grows from the first of these to the second: most answers come soon, and a look costs.
	pollFirst, pollLast = 25 * time.Millisecond, 250 * time.Millisecond
	// patience is generous because the machines that run this are small and shared; nothing waits
	// for it except a test that is going to fail.
	patience = 3 * time.Minute
)

// Eventually polls check until it returns nil and fails the test with its last error if that takes too long.
// It is for what the control plane does in its own time; what must hold at once is asserted directly.
func Eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	if err := poll(what, check); err != nil {
		t.Fatal(err)
	}
}

// hopeless marks an error that waiting cannot mend.
type hopeless struct{ error }

func poll(what string, check func() error) error {
	deadline := time.Now().Add(patience)
	for pause := pollFirst; ; pause = min(pause*3/2, pollLast) {
		err := check()
		if err == nil {
			return nil
		}
		var end hopeless
		if errors.As(err, &end) {
			return fmt.Errorf("%s: %w", what, end.error)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not after %s: %w", what, patience, err)
		}
		time.Sleep(pause)
	}
}
