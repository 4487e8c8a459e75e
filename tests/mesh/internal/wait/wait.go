// Package wait polls for what the control plane does in its own time.
package wait

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

const (
	// MinPause and MaxPause bound the pause between two checks. It grows from the first to the second: most conditions hold soon, and
	// each check takes processor time from what it waits for.
	MinPause, MaxPause = 25 * time.Millisecond, 250 * time.Millisecond
	// Timeout is generous because the machines that run this are small and shared. Only a test that is going to fail waits for it.
	Timeout = 3 * time.Minute
)

// Eventually calls check until it returns nil, and fails the test with the last error after Timeout or with a permanent error at
// once. What must hold without a delay is asserted directly.
func Eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	if err := Until(what, check); err != nil {
		t.Fatal(err)
	}
}

// Until is Eventually for code that returns errors.
func Until(what string, check func() error) error {
	deadline := time.Now().Add(Timeout)
	for pause := MinPause; ; pause = min(pause*3/2, MaxPause) {
		err := check()
		if err == nil {
			return nil
		}
		var permanent permanentError
		if errors.As(err, &permanent) {
			return fmt.Errorf("%s: %w", what, permanent.error)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not after %s: %w", what, Timeout, err)
		}
		time.Sleep(pause)
	}
}

// permanentError is an error that does not go away by waiting.
type permanentError struct{ error }

// Permanent marks an error that ends the wait, such as a process that has exited. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}
