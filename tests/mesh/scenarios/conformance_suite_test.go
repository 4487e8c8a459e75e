//go:build mesh

package scenarios

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"mooring.dev/tests/mesh/internal/conformance"
)

// Every test and subtest of Gateway API's own conformance suite has the same result with sessions and sticky canaries on every route as
// with Istio alone. SUITE_TESTS selects tests.
func TestGatewayAPIConformanceSuite(t *testing.T) {
	var alone, mooring conformance.Result
	t.Run("runs", func(t *testing.T) {
		t.Run("Istio alone", func(t *testing.T) {
			t.Parallel()
			alone = conformance.Run(t, rig.Env, rig.Clusters, "istio-alone", false)
		})
		t.Run("with Mooring", func(t *testing.T) {
			t.Parallel()
			mooring = conformance.Run(t, rig.Env, rig.Clusters, "with-mooring", true, keys)
		})
	})
	if t.Failed() {
		return
	}
	t.Run("no result changes", func(t *testing.T) { noResultChanges(t, alone, mooring) })
	t.Run("the results are as listed", func(t *testing.T) { asListed(t, alone) })
	t.Run("every request begins a session", func(t *testing.T) { everyRequestBeginsASession(t, alone, mooring) })
	t.Run("a session changes nothing else", func(t *testing.T) { aSessionChangesNothingElse(t, mooring) })
}

func noResultChanges(t *testing.T, alone, mooring conformance.Result) {
	names := maps.Clone(alone.Results)
	maps.Copy(names, mooring.Results)
	differ := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if before, after := alone.Results[name], mooring.Results[name]; before != after {
			t.Errorf("%s: %q with Istio alone, %q with Mooring", name, before, after)
			test, _, _ := strings.Cut(name, "/")
			differ[test] = true
		}
	}
	for test := range differ {
		t.Logf("%s with Mooring:\n%s", test, mooring.Excerpt(test))
	}
}

// exceptions holds the tests that do not pass, each with the reason.
type exceptions struct {
	Skipped, Failed, WithoutSessions map[string]string
}

func readExceptions(t *testing.T) exceptions {
	text, err := os.ReadFile("../suite/exceptions.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var list exceptions
	if err := yaml.UnmarshalStrict(text, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func asListed(t *testing.T, alone conformance.Result) {
	list := readExceptions(t)
	passed, subtests := 0, 0
	for name, result := range alone.Results {
		if strings.Contains(name, "/") {
			subtests++
			continue
		}
		want := "PASS"
		if list.Failed[name] != "" {
			want = "FAIL"
		} else if list.Skipped[name] != "" {
			want = "SKIP"
		}
		if result != want {
			t.Errorf("%s: %s, expected %s\n%s", name, result, want, alone.Excerpt(name))
		}
		if result == "PASS" {
			passed++
		}
	}
	for _, names := range []map[string]string{list.Failed, list.Skipped, list.WithoutSessions} {
		for name := range names {
			if alone.Results[name] == "" && !someTests() {
				t.Errorf("%s is listed, and no test has this name", name)
			}
		}
	}
	t.Logf("run a second time: %q", alone.Again)
	t.Logf("%d tests passed; all have %d subtests", passed, subtests)
}

func everyRequestBeginsASession(t *testing.T, alone, mooring conformance.Result) {
	list := readExceptions(t)
	if n := total(alone.Sessions); n > 0 {
		t.Errorf("%d sessions with Istio alone", n)
	}
	for _, kind := range []string{"EnvoyFilter", "WasmPlugin", "HTTPRoute", "GRPCRoute"} {
		if mooring.Generated[kind] == 0 && !someTests() {
			t.Errorf("no %s was generated: %v", kind, mooring.Generated)
		}
	}
	for name := range alone.Answered {
		answered, sessions := mooring.Answered[name], mooring.Sessions[name]
		switch listed := list.WithoutSessions[name] != ""; {
		case answered == 0:
			t.Errorf("%s: pods answer with Istio alone and not with Mooring", name)
		case !listed && sessions < answered:
			t.Errorf("%s: %d sessions, expected %d, one for each answer", name, sessions, answered)
		case listed && sessions == answered:
			t.Errorf("%s: each of %d answers began a session, and it is listed as a test without", name, answered)
		}
	}
	t.Logf("%d sessions began in %d answers; generated: %v", total(mooring.Sessions), total(mooring.Answered), mooring.Generated)
	t.Logf("run a second time: %q", mooring.Again)
	for name, reason := range mooring.Unsettled {
		t.Logf("the gateways did not serve by what was generated (%s): %s", name, reason)
	}
}

// aSessionChangesNothingElse checks the requests that were sent again with their session: each reached the same pod, or for a canary
// the same backend, which received the same request.
func aSessionChangesNothingElse(t *testing.T, mooring conformance.Result) {
	if total(mooring.Repeated) == 0 {
		t.Error("no request was sent again")
	}
	for name, differences := range mooring.Differences {
		t.Errorf("%s:\n%s", name, strings.Join(differences, "\n"))
	}
	t.Logf("%d requests were sent again", total(mooring.Repeated))
}

func someTests() bool { return os.Getenv("SUITE_TESTS") != "" }

func total(counts map[string]int) int {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum
}
