//go:build mesh

package scenarios

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/wait"
)

// The replica that leads is suspended, so it neither renews the Lease nor releases it, as after a crash. The other one takes over when the
// Lease has expired. The first one, awake again, has a change to write, writes nothing and exits.
func TestControllerLosesItsLease(t *testing.T) {
	t.Parallel()
	const duration = 15
	s := rig.Start(t, "sp-demo", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	s.ApplyFile(t, "routes/plain.yaml")
	lease := scenario.ControllerArgs("--lease-duration", fmt.Sprint(duration))
	a := s.StartController(t, scenario.ControllerNamed("a"), lease)
	awaitLeader(t, a)
	b := s.StartController(t, scenario.ControllerNamed("b"), lease)
	awaitSplitWith(t, s, "of-a")
	if code, body, err := b.Probe("/livez"); err != nil || code != http.StatusOK {
		t.Errorf("the replica that does not lead: /livez: %d %s %v", code, body, err)
	}

	if err := a.Process.Pause(); err != nil {
		t.Fatal(err)
	}
	began, before := time.Now(), len(a.Recorder.Writes())
	awaitLeader(t, b)
	// The holder renews after a sixth of the duration, and stops writing after two thirds.
	if took := time.Since(began); took < duration*time.Second*2/3 {
		t.Errorf("the other replica led after %s, when the first one could still write", took)
	} else {
		t.Logf("the other replica led after %s", took.Round(time.Millisecond))
	}
	awaitSplitWith(t, s, "of-b")
	if err := a.Process.Resume(); err != nil {
		t.Fatal(err)
	}
	code, err := a.Process.AwaitExit(wait.Timeout)
	if err != nil || code != 1 || !strings.Contains(a.Process.Log(), "the Lease is lost") {
		t.Errorf("exit code %d, %v\n%s", code, err, a.Process.Tail())
	}
	if writes := a.Recorder.Writes()[before:]; len(writes) > 0 {
		t.Errorf("after its term it wrote %v", writes)
	}

	// As a kubelet does. It is the one that waits now.
	a.Start(t)
	awaitSplitWith(t, s, "still-b")
	if writes := a.Recorder.Writes()[before:]; len(writes) > 0 {
		t.Errorf("the replica that does not lead wrote %v", writes)
	}
}

func awaitLeader(t *testing.T, c *scenario.Controller) {
	t.Helper()
	wait.Eventually(t, c.Name+" leads", func() error {
		if c.Metric(t, "mooring_controller_leader") != 1 {
			return fmt.Errorf("it does not")
		}
		return nil
	})
}

// awaitSplitWith gives a route sessions in this cookie, and waits until a controller has written that.
func awaitSplitWith(t *testing.T, s *scenario.Scenario, cookie string) {
	t.Helper()
	s.Apply(t, strings.ReplaceAll(splitRoute, "half-session", cookie))
	wait.Eventually(t, "the session "+cookie, func() error {
		written := s.Written(t)
		for _, obj := range written {
			if obj.GetKind() == "WasmPlugin" && strings.Contains(fmt.Sprint(obj.Object["spec"]), cookie) {
				return nil
			}
		}
		return fmt.Errorf("%d objects without it", len(written))
	})
}
