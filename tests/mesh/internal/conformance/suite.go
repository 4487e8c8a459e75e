package conformance

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/proxy"
	"mooring.dev/tests/mesh/internal/testenv"
)

// A Result is the outcome of a run of the suite.
type Result struct {
	// Results are PASS, FAIL or SKIP, by the names of the tests and of their subtests.
	Results map[string]string
	// Answered counts the responses from pods, Sessions those of them that began a session of Mooring's, and Repeated the requests
	// that were sent again with their session. All are by the names of the tests.
	Answered, Sessions, Repeated map[string]int
	// Differences is what differed when a request was sent again, by the names of the tests.
	Differences map[string][]string
	// Unsettled is why the gateways did not serve by what Mooring generated, by the names of the tests.
	Unsettled map[string]string
	// Again are the tests, and their subtests, that failed once and were run a second time.
	Again []string
	// Generated counts the objects that Mooring generated, by kind.
	Generated map[string]int

	log string
}

// Excerpt is what the suite wrote while a test failed for the second time.
func (r Result) Excerpt(test string) string {
	_, text, _ := strings.Cut(r.log, "=== RUN   TestConformance/again/"+test+"\n")
	lines := strings.Split(text, "\n")
	if next := slices.IndexFunc(lines, func(line string) bool { return runsTest.MatchString(line) }); next > 0 {
		lines = lines[:next]
	}
	return strings.Join(lines[max(0, len(lines)-80):], "\n")
}

var (
	runsTest = regexp.MustCompile(`^=== RUN   TestConformance/[^/]+/[^/]+$`)
	resultOf = regexp.MustCompile(`(?m)^ *--- (PASS|FAIL|SKIP): TestConformance/(first|again)/(\S+) `)
)

// Run runs the suite on its own control plane, which gets the name. With mooring, every route has a policy and Mooring serves by
// what it generates. A test of the suite that fails is a result, and does not fail t.
func Run(t *testing.T, env *testenv.Env, clusters *cluster.Pool, name string, withMooring bool, gatewayEnv ...string) Result {
	t.Helper()
	c, err := clusters.GetExclusive(name, cluster.GatewayAPI16)
	if err != nil {
		t.Fatal(err)
	}
	f := Follow(t, env, c, proxy.Options{Env: gatewayEnv})
	listener, err := net.Listen("tcp", c.IP+":9000")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: f.Settler(withMooring)}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	report, log := filepath.Join(c.Dir, "report.json"), filepath.Join(c.Dir, "suite.log")
	cmd := exec.Command(env.Program("suite.test"), "-test.v", "-test.parallel=8", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig,
		"SUITE_SETTLER=http://"+listener.Addr().String(), "SUITE_REPORT="+report)
	if withMooring {
		cmd.Env = append(cmd.Env, "SUITE_POLICIES=1")
	}
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	// The kernel ends it if the rig is killed, as the rig's other programs. That depends on the thread that forks, not on the process.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	failed := cmd.Run() // a test that fails is a result
	out.Close()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	run := Result{Results: map[string]string{}, Generated: f.Generated(), log: string(text)}
	for _, line := range resultOf.FindAllStringSubmatch(run.log, -1) {
		result, group, name := line[1], line[2], line[3]
		if group == "again" { // which is reported after the first time
			run.Again = append(run.Again, name)
		}
		run.Results[name] = result
	}
	text, err = os.ReadFile(report)
	if err == nil {
		err = json.Unmarshal(text, &run)
	}
	if err != nil {
		t.Fatalf("the suite did not come to its end: %v, %v", failed, err)
	}
	return run
}
