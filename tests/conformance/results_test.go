package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRowsAreHeldAgainstResults(t *testing.T) {
	results := resultsOf(t, "pass A", "fail B", "fail B/1_'/x'", "pass B/2_'/y'", "fail C", "pass C/1", "pass D", "fail D/1")
	a, b, c := Row{Name: "A", Verdict: Right}, Row{Name: "B", Verdict: Right}, Row{Name: "C", Verdict: Right}
	part := Row{Name: "B/1_'/x'", Verdict: Wrong, Reason: "why"}
	for _, judged := range []struct {
		what string
		row  Row
		rows []Row
		want string
	}{
		{"right and right", a, []Row{a}, ""},
		{"right and wrong", b, []Row{b}, "B/1_'/x' fails"},
		{"right, but for a subtest with a row of its own", b, []Row{b, part}, ""},
		{"that subtest", part, []Row{b, part}, ""},
		{"failed after all subtests", c, []Row{c}, "C fails"},
		{"wrong and right", Row{Name: "A", Verdict: Wrong}, nil, "out of date"},
		{"not there", Row{Name: "E", Verdict: Right}, nil, "was not played"},
		{"wrong and not there", Row{Name: "E", Verdict: Wrong}, nil, "was not played"},
		{"not to be played", Row{Name: "E", Verdict: NotPlayed}, nil, ""},
		{"not to be played, but it was", Row{Name: "A", Verdict: NotPlayed}, nil, "was played"},
		{"asked and wrong", Row{Name: "B", Verdict: Asked}, nil, "B/1_'/x' fails"},
	} {
		got := results.Judge(judged.row, judged.rows)
		if (got == "") != (judged.want == "") || !strings.Contains(got, judged.want) {
			t.Errorf("%s: %q, want %q", judged.what, got, judged.want)
		}
	}
}

// resultsOf are the results of test events, each with its action and the name of its test.
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

func TestRowsThatSayNothing(t *testing.T) {
	for what, text := range map[string]string{
		"without a reason":      "| `A` | wrong | |",
		"right with a reason":   "| `A` | right | why |",
		"an unknown verdict":    "| `A` | good | |",
		"a missing cell":        "| `A` | right |",
		"two rows for one test": "| `A` | right | |\n| `A` | wrong | why |",
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
