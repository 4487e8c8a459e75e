package local

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// A Verdict is what RESULTS.md says about a test or one of its subtests.
type Verdict string

const (
	Right     Verdict = "right"
	Asked     Verdict = "asked" // our own requests to its manifests are answered right
	Wrong     Verdict = "wrong"
	NotPlayed Verdict = "not played"
)

// A Row is a line of the table in RESULTS.md.
type Row struct {
	Name    string // as Go prints it, without the name of the outer test
	Verdict Verdict
	Reason  string
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
			Name:    strings.TrimSuffix(name, "`"),
			Verdict: Verdict(cells[1]),
			Reason:  strings.TrimSpace(strings.TrimSuffix(cells[2], "|")),
		}
		if !slices.Contains([]Verdict{Right, Asked, Wrong, NotPlayed}, row.Verdict) {
			return nil, fmt.Errorf("%s: no such verdict: %s", file, line)
		}
		if (row.Reason == "") != (row.Verdict == Right) {
			return nil, fmt.Errorf("%s: what is not right has a reason, and only that: %s", file, line)
		}
		if slices.ContainsFunc(rows, func(other Row) bool { return other.Name == row.Name }) {
			return nil, fmt.Errorf("%s: a second row for %s", file, row.Name)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// Of is the test of which a row speaks.
func (r Row) Of() string {
	test, _, _ := strings.Cut(r.Name, "/")
	return test
}

// under says whether a row speaks of a test or subtest.
func (r Row) under(name string) bool { return name == r.Name || strings.HasPrefix(name, r.Name+"/") }

// A Played is one test or subtest that has ended.
type Played struct {
	Passed bool
	Output []string
}

// Results are all that have ended, by name.
type Results map[string]*Played

// ReadResults reads what `go tool test2json` prints, of the subtests of one test.
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
			results[name] = &Played{Passed: event.Action == "pass", Output: outputs[name]}
		}
	}
}

// Judge returns what contradicts a row, or "".
func (r Results) Judge(row Row, rows []Row) string {
	played := r[row.Name]
	switch {
	case row.Verdict == NotPlayed && played != nil:
		return "it was played"
	case row.Verdict == NotPlayed:
		return ""
	case played == nil:
		return "it was not played"
	case row.Verdict == Wrong && played.Passed:
		return "it passes now: the row is out of date"
	case row.Verdict == Wrong:
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

// failures are the tests that failed though none of their subtests did, in the order of their names.
func (r Results) failures() []string {
	blamed := map[string]bool{}
	for name, played := range r {
		if parent := r.parent(name); !played.Passed && parent != "" {
			blamed[parent] = true
		}
	}
	var failures []string
	for name, played := range r {
		if !played.Passed && !blamed[name] {
			failures = append(failures, name)
		}
	}
	slices.Sort(failures)
	return failures
}

// parent is the test of which this one is a subtest; there are slashes in names, too.
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
