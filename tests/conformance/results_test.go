package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRowsAreComparedWithResults(t *testing.T) {
	results := resultsOf(t, "pass A", "fail B", "fail B/1_'/x'", "pass B/2_'/y'", "fail C", "pass C/1", "pass D", "fail D/1")
	a, b, c := Row{Name: "A", Expected: Pass}, Row{Name: "B", Expected: Pass}, Row{Name: "C", Expected: Pass}
	part := Row{Name: "B/1_'/x'", Expected: Fail, Reason: "why"}
	for _, c := range []struct {
		what string
		row  Row
		rows []Row
		want string
	}{
		{"pass expected, passed", a, []Row{a}, ""},
		{"pass expected, failed", b, []Row{b}, "B/1_'/x' fails"},
		{"pass expected, but a subtest has its own row", b, []Row{b, part}, ""},
		{"that subtest", part, []Row{b, part}, ""},
		{"failed after all subtests", c, []Row{c}, "C fails"},
		{"fail expected, passed", Row{Name: "A", Expected: Fail}, nil, "out of date"},
		{"not run", Row{Name: "E", Expected: Pass}, nil, "was not run"},
		{"fail expected, not run", Row{Name: "E", Expected: Fail}, nil, "was not run"},
		{"not run, as expected", Row{Name: "E", Expected: NotRun}, nil, ""},
		{"run, not as expected", Row{Name: "A", Expected: NotRun}, nil, "was run"},
		{"own requests, failed", Row{Name: "B", Expected: OwnRequests}, nil, "B/1_'/x' fails"},
	} {
		got := results.Check(c.row, c.rows)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

// resultsOf returns the results of test events, each with its action and the name of its test.
func resultsOf(t *testing.T, events ...string) Results {
	t.Helper()
	var text strings.Builder
	for _, event := range events {
		action, test, _ := strings.Cut(event, " ")
		text.WriteString(`{"Action":"` + action + `","Test":"TestSuite/` + test + `"}` + "\n")
	}
	results, err := ReadResults(strings.NewReader(text.String()), "TestSuite")
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func TestInvalidRows(t *testing.T) {
	for what, text := range map[string]string{
		"without a reason":      "| `A` | fail | |",
		"pass with a reason":    "| `A` | pass | why |",
		"an unknown result":     "| `A` | good | |",
		"a missing cell":        "| `A` | pass |",
		"two rows for one test": "| `A` | pass | |\n| `A` | fail | why |",
	} {
		file := filepath.Join(t.TempDir(), "rows.md")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if rows, err := ReadRows(file); err == nil {
			t.Errorf("%s: read as %v", what, rows)
		}
	}
}
