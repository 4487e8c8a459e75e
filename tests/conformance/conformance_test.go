//go:build conformance

package local

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

var only = flag.String("only", "", "run only the tests whose name matches this regular expression")

// TestConformance runs the suite, and compares the result of each test with RESULTS.md.
func TestConformance(t *testing.T) {
	rows, err := ReadRows("RESULTS.md")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("every test is listed", func(t *testing.T) { everyTestIsListed(t, rows) })
	wanted, err := regexp.Compile(*only)
	if err != nil {
		t.Fatal(err)
	}
	rows = slices.DeleteFunc(rows, func(row Row) bool { return !wanted.MatchString(row.Test()) })
	echo := buildEcho(t)
	t.Run("without sessions", func(t *testing.T) {
		t.Parallel()
		compare(t, rows, echo)
	})
	t.Run("with sessions", func(t *testing.T) {
		t.Parallel()
		compare(t, rows, echo, withSessions+"=1", "MOORING_KEYS="+newKey(t))
	})
}

// buildEcho returns a variable of the environment with the path of the suite's backend.
func buildEcho(t *testing.T) string {
	echo := filepath.Join(t.TempDir(), "echo-basic")
	build := exec.Command("go", "build", "-o", echo, "sigs.k8s.io/gateway-api/conformance/echo-basic")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, output)
	}
	return "ECHO_BASIC=" + echo
}

// compare runs the tests with these variables in the environment, and compares the results with the rows.
func compare(t *testing.T, rows []Row, environment ...string) {
	results := runSuite(t, rows, environment)
	for _, row := range rows {
		t.Run(row.Name, func(t *testing.T) {
			if problem := results.Check(row, rows); problem != "" {
				t.Errorf("RESULTS.md expects: %s. %s", row.Expected, problem)
			}
		})
	}
}

func newKey(t *testing.T) string {
	key, err := exec.Command(os.Getenv("MOORING"), "keygen").Output()
	if err != nil {
		t.Fatalf("mooring keygen: %v", err)
	}
	return strings.TrimSpace(string(key))
}

// isRelevant reports whether a test is about a kind of route that Mooring reads, on a gateway.
func isRelevant(test *suite.ConformanceTest) bool {
	return slices.Contains(test.Features, features.SupportGateway) &&
		(slices.Contains(test.Features, features.SupportHTTPRoute) || slices.Contains(test.Features, features.SupportGRPCRoute))
}

func everyTestIsListed(t *testing.T, rows []Row) {
	listed, there := map[string]bool{}, map[string]bool{}
	for _, row := range rows {
		listed[row.Name] = true
	}
	for _, test := range tests.ConformanceTests {
		if there[test.ShortName] = isRelevant(&test); there[test.ShortName] && !listed[test.ShortName] {
			t.Errorf("%s is not listed", test.ShortName)
		}
	}
	for _, row := range rows {
		if !there[row.Test()] {
			t.Errorf("%s is listed, but there is no such test", row.Test())
		}
	}
}

// runSuite runs TestSuite in a separate network namespace.
func runSuite(t *testing.T, rows []Row, environment []string) Results {
	dir, err := os.MkdirTemp("", "mooring-conformance-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("inputs, bootstraps and logs are in %s", dir)
		} else {
			os.RemoveAll(dir)
		}
	})
	this := exec.Command(os.Args[0], "-test.v=test2json", "-test.timeout=20m", "-test.run="+includedTests(rows), "-test.skip="+skippedTests(rows),
		// Subtests mostly wait.
		"-test.parallel=16")
	this.Env = append(append(os.Environ(), inside+"="+dir), environment...)
	isolate(this)
	log, err := os.Create(filepath.Join(dir, "suite.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	convert := exec.Command("go", "tool", "test2json", "-t")
	var events, complaints bytes.Buffer
	convert.Stdout, convert.Stderr = &events, &complaints
	input, err := convert.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	this.Stdout, this.Stderr = io.MultiWriter(input, log), log
	if err := convert.Start(); err != nil {
		t.Fatal(err)
	}
	err = this.Run()
	input.Close()
	// The exit code is that of the tests, whose results are compared one by one.
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("a separate network namespace (unshare --net) is needed: %v", err)
	}
	if err := convert.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", convert, err, complaints.String())
	}
	results, err := ReadResults(&events, "TestSuite")
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func includedTests(rows []Row) string {
	var names []string
	for _, row := range rows {
		names = append(names, row.Test())
	}
	return "^TestSuite$/^(" + strings.Join(slices.Compact(names), "|") + ")$"
}

func skippedTests(rows []Row) string {
	var names []string
	for _, row := range rows {
		if row.Expected == NotRun {
			parts := strings.SplitN(row.Name, "/", 2)
			for i, part := range parts {
				parts[i] = "^" + regexp.QuoteMeta(part) + "$"
			}
			names = append(names, "^TestSuite$/"+strings.Join(parts, "/"))
		}
	}
	return strings.Join(names, "|")
}
