//go:build mesh

package scenarios

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// What the tests of the controller share.

const (
	controllerName  = "mooring.dev/controller"
	backendLBPolicy = "gateway.networking.k8s.io/v1alpha2"
)

// setting returns the number in a variable of the environment, for runs that are longer than those of a pipeline.
func setting(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// kubectl runs the real kubectl in the namespace of a scenario and returns what it prints.
func kubectl(t *testing.T, s *scenario.Scenario, args ...string) string {
	t.Helper()
	code, output := tryKubectl(s, args...)
	if code != 0 {
		t.Fatalf("kubectl %q: exit code %d\n%s", args, code, output)
	}
	return output
}

func tryKubectl(s *scenario.Scenario, args ...string) (int, string) {
	return runProgram(s.Cluster.Kubeconfig, nil, rig.Env.Program("kubectl"), append(args, "--namespace", s.Namespace)...)
}

// kubectlWait waits with kubectl for a condition that the controller has about the first Gateway of a policy.
func kubectlWait(t *testing.T, s *scenario.Scenario, object, condition, status string) {
	t.Helper()
	kubectl(t, s, "wait", object, "--timeout", wait.Timeout.String(),
		"--for", fmt.Sprintf(`jsonpath={.status.ancestors[?(@.controllerName=="%s")].conditions[?(@.type=="%s")].status}=%s`, controllerName, condition, status))
}

// conditionOf returns what the controller says about an object, for its present generation.
func conditionOf(obj *kube.Object, condition string) (kube.Condition, error) {
	found := kube.ConditionsBy(obj, controllerName)
	for _, c := range found {
		if c.Type == condition && c.Observed == obj.GetGeneration() {
			return c, nil
		}
	}
	return kube.Condition{}, fmt.Errorf("no condition %s of generation %d: %v", condition, obj.GetGeneration(), found)
}

// awaitCondition waits until the controller says this about the present generation of an object. The message contains a text.
func awaitCondition(t *testing.T, s *scenario.Scenario, apiVersion, kind, name, condition, status, message string) kube.Condition {
	t.Helper()
	var is kube.Condition
	wait.Eventually(t, fmt.Sprintf("%s %s is %s=%s", kind, name, condition, status), func() (err error) {
		obj := s.Get(t, apiVersion, kind, name)
		if is, err = conditionOf(obj, condition); err != nil {
			return err
		}
		if is.Status != status || !strings.Contains(is.Message, message) {
			return fmt.Errorf("%v", kube.ConditionsBy(obj, controllerName))
		}
		return nil
	})
	return is
}

// generatedVersions returns the resource versions of what controllers have generated.
func generatedVersions(t *testing.T, s *scenario.Scenario) map[string]string {
	t.Helper()
	versions := map[string]string{}
	for _, obj := range s.Written(t) {
		versions[kube.Describe(obj)] = obj.GetResourceVersion()
	}
	return versions
}

// writesSince describes the writes of a controller after the first n, by kind of object.
func writesSince(c *scenario.Controller, n int) (writes []kube.Write, counts map[string]int) {
	writes = c.Recorder.Writes()[n:]
	counts = map[string]int{}
	for _, w := range writes {
		counts[w.Verb+" "+w.Resource]++
	}
	return writes, counts
}

// latencies are how long something took, again and again.
type latencies []time.Duration

func (l latencies) median() time.Duration {
	sorted := slices.Sorted(slices.Values(l))
	return sorted[len(sorted)/2]
}

func (l latencies) String() string {
	return fmt.Sprintf("median %s, worst %s of %d", l.median().Round(time.Millisecond), slices.Max(l).Round(time.Millisecond), len(l))
}

// firstReply waits until the first reply to a new client on a new connection is as expected, and returns it.
func firstReply(t *testing.T, client *traffic.Client, what string, expected func(traffic.Reply) error) traffic.Reply {
	t.Helper()
	var reply traffic.Reply
	wait.Eventually(t, what, func() error {
		client.Close()
		client.ForgetCookies()
		reply = client.Get(t, "/")
		if reply.Status != 200 {
			return wait.Permanent(fmt.Errorf("status %d: %s", reply.Status, reply.Body))
		}
		return expected(reply)
	})
	return reply
}
