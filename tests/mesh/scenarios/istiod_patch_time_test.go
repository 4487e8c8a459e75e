//go:build mesh

package scenarios

import (
	"fmt"
	"testing"
	"time"

	"mooring.dev/tests/mesh/internal/istio"
)

// The time that istiod spends on the patches of two thousand rules, at each push, for each gateway and port. With a patch for each rule it
// was 207 ms, and 291 ms with a host name for each. A busy machine may take ten times the goal.
func TestIstiodPatchTimeForTwoThousandRules(t *testing.T) {
	t.Parallel()
	const rules = 2000
	for _, c := range []struct {
		hosts, backends int
		goal            time.Duration
	}{
		{1, 1, 5 * time.Millisecond},
		{rules, 1, 100 * time.Millisecond},
		{1, 2, 5 * time.Millisecond},
		{rules, 2, 100 * time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%d host names, %d backends", c.hosts, c.backends), func(t *testing.T) {
			took, text, err := istio.PatchTime(rig.Env, rules, c.hosts, c.backends)
			if err != nil {
				t.Fatal(err)
			}
			t.Log(text)
			if took > 10*c.goal {
				t.Errorf("the goal is %s", c.goal)
			}
		})
	}
}
