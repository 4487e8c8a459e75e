package local

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// An Expectation is the expected result of a test or of one of its subtests, by RESULTS.md.
type Expectation string

// The expectations, as RESULTS.md writes them.
const (
	Pass        Expectation = "pass"
	OwnRequests Expectation = "own requests" // ownRequests replace the test, and pass
	Fail        Expectation = "fail"
	NotRun      Expectation = "not run"
)

// A Row is a line of the table in RESULTS.md.
type Row struct {
	Name     string // as Go prints it, without the name of the outer test
	Expected Expectation
	Reason   string
}

// ReadRows reads the rows of every table of a Markdown file whose first cell is code.
func ReadRows(file string) ([]Row, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var rows []Row
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		name, isRow := strings.CutPrefix(cells[0], "| `")
		if !isRow {
			continue
		}
		if len(cells) != 3 {
			return nil, fmt.Errorf("%s: a row has three cells: %s", file, line)
		}
		row := Row{
			Name:     strings.TrimSuffix(name, "`"),
			Expected: Expectation(cells[1]),
			Reason:   strings.TrimSpace(strings.TrimSuffix(cells[2], "|")),
		}
		if !slices.Contains([]Expectation{Pass, OwnRequests, Fail, NotRun}, row.Expected) {
			return nil, fmt.Errorf("%s: no such result: %s", file, line)
		}
		if (row.Reason == "") != (row.Expected == Pass) {
			return nil, fmt.Errorf("%s: exactly the results other than pass have a reason: %s", file, line)
		}
		if slices.ContainsFunc(rows, func(other Row) bool { return other.Name == row.Name }) {
			return nil, fmt.Errorf("%s: a second row for %s", file, row.Name)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// Test returns the name of the test, without the subtest.
func (r Row) Test() string {
	test, _, _ := strings.Cut(r.Name, "/")
	return test
}

// under reports whether a row is about a test or subtest.
func (r Row) under(name string) bool { return name == r.Name || strings.HasPrefix(name, r.Name+"/") }

// An Outcome is the result of one test or subtest.
type Outcome struct {
	Passed bool
	Output []string
}

// Results holds the outcomes by name.
type Results map[string]*Outcome

// ReadResults reads the output of `go tool test2json` about the subtests of one test.
func ReadResults(events io.Reader, of string) (Results, error) {
	outputs := map[string][]string{}
	results := Results{}
	decoder := json.NewDecoder(events)
	for {
		var event struct{ Action, Test, Output string }
		if err := decoder.Decode(&event); err == io.EOF {
			return results, nil
		} else if err != nil {
			return nil, err
		}
		name, inside := strings.CutPrefix(event.Test, of+"/")
		if !inside {
			continue
		}
		switch event.Action {
		case "output":
			outputs[name] = append(outputs[name], event.Output)
		case "pass", "fail":
			results[name] = &Outcome{Passed: event.Action == "pass", Output: outputs[name]}
		}
	}
}

// Check returns how the results contradict a row, or "".
func (r Results) Check(row Row, rows []Row) string {
	outcome := r[row.Name]
	switch {
	case row.Expected == NotRun && outcome != nil:
		return "it was run"
	case row.Expected == NotRun:
		return ""
	case outcome == nil:
		return "it was not run"
	case row.Expected == Fail && outcome.Passed:
		return "it passes now: the row is out of date"
	case row.Expected == Fail:
		return ""
	}
	var problems []string
	for _, name := range r.failures() {
		if row.under(name) && !slices.ContainsFunc(rows, func(other Row) bool { return len(other.Name) > len(row.Name) && other.under(name) }) {
			problems = append(problems, name+" fails:\n"+strings.Join(r[name].Output, ""))
		}
	}
	return strings.Join(problems, "\n")
}

// failures returns, sorted, the names of the tests that failed although none of their subtests did.
func (r Results) failures() []string {
	blamed := map[string]bool{}
	for name, outcome := range r {
		if parent := r.parent(name); !outcome.Passed && parent != "" {
			blamed[parent] = true
		}
	}
	var failures []string
	for name, outcome := range r {
		if !outcome.Passed && !blamed[name] {
			failures = append(failures, name)
		}
	}
	slices.Sort(failures)
	return failures
}

// parent returns the name of the test of which this one is a subtest. Names can contain slashes too.
func (r Results) parent(name string) string {
	for {
		end := strings.LastIndex(name, "/")
		if end < 0 {
			return ""
		}
		name = name[:end]
		if r[name] != nil {
			return name
		}
	}
}
