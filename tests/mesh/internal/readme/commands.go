// Package readme runs the commands of a README or another page as an operator would type them, and compares what they print with what the
// page shows. In a Shell all programs are real; a Terminal plays kubectl, and the parts of a cluster that the rig lacks.
package readme

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Command is a command of a README, and what the README shows as its output.
type Command struct {
	Line   int
	Text   string
	Output []string
}

// savedFile is a YAML block that a page tells its reader to save under the name in its first line.
var savedFile = regexp.MustCompile("(?m)^```yaml\n# ([a-z-]+\\.yaml)\n((?s:.*?)\n)```$")

// Files returns what the YAML blocks of a page are to hold whose first line is a comment with the name of a file.
func Files(page string) (map[string]string, error) {
	text, err := os.ReadFile(page)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, found := range savedFile.FindAllStringSubmatch(string(text), -1) {
		files[found[1]] = found[2]
	}
	return files, nil
}

// Until splits commands before the first one whose text contains this.
func Until(commands []Command, text string) (before, rest []Command, err error) {
	i := slices.IndexFunc(commands, func(c Command) bool { return strings.Contains(c.Text, text) })
	if i < 0 {
		return nil, nil, fmt.Errorf("no command contains %q", text)
	}
	return commands[:i], commands[i:], nil
}

// Commands returns the commands in the console blocks of a README, except those of one section.
func Commands(file, except string) ([]Command, error) {
	return commands(file, func(title string) bool { return title != except }, func(string) bool { return false })
}

// SectionCommands returns the commands in the console blocks of some sections of a page. A section begins with "## ", or with "### " in
// another section.
func SectionCommands(file string, sections ...string) ([]Command, error) {
	wanted := func(title string) bool { return slices.Contains(sections, title) }
	return commands(file, wanted, wanted)
}

func commands(file string, wanted, wantedInAnother func(title string) bool) ([]Command, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var commands []Command
	section := wanted("")
	console, skip, indent := false, !section, ""
	for i, line := range strings.Split(string(text), "\n") {
		if indented := strings.TrimLeft(line, " "); strings.HasPrefix(indented, "```") && !console {
			indent = line[:len(line)-len(indented)] // of a block in a list
		}
		line = strings.TrimPrefix(line, indent)
		title, isTitle := strings.CutPrefix(line, "## ")
		subtitle, isSubtitle := strings.CutPrefix(line, "### ")
		switch {
		case strings.HasPrefix(line, "```"):
			console = line == "```console"
		case !console && isTitle:
			section = wanted(title)
			skip = !section
		case !console && isSubtitle:
			skip = !section && !wantedInAnother(subtitle)
		case !console, skip:
		case strings.HasPrefix(line, "$ "):
			commands = append(commands, Command{Line: i + 1, Text: line[2:]})
		case len(commands) == 0:
			return nil, fmt.Errorf("%s:%d: output without a command", file, i+1)
		case strings.HasPrefix(line, "> "):
			commands[len(commands)-1].Text += "\n" + line[2:]
		default:
			last := &commands[len(commands)-1]
			last.Output = append(last.Output, line)
		}
	}
	if len(commands) == 0 {
		return nil, fmt.Errorf("%s shows no commands", file)
	}
	return commands, nil
}

// counted is a line of `uniq -c`.
var counted = regexp.MustCompile(`^ +(\d+) (.*)$`)

// Compare returns an error unless the lines that a command printed are those that the README shows. "…" stands for any text. The lines of
// `uniq -c` are shares of random routing: each may be off by five standard deviations.
func (c Command) Compare(printed []string) error {
	if len(c.Output) == 0 {
		return nil
	}
	if !counted.MatchString(c.Output[0]) {
		if len(printed) != len(c.Output) {
			return fmt.Errorf("it printed %q", printed)
		}
		for i, line := range c.Output {
			if !matches(line, printed[i]) {
				return fmt.Errorf("it printed %q", printed)
			}
		}
		return nil
	}
	want, total, err := counts(c.Output)
	if err != nil {
		return err
	}
	have, n, err := counts(printed)
	if err != nil {
		return err
	}
	if n != total {
		return fmt.Errorf("%d lines, expected %d: %q", n, total, printed)
	}
	for pattern, count := range want {
		reached := 0
		for text, count := range have {
			if matches(pattern, text) {
				reached += count
				delete(have, text)
			}
		}
		share := float64(count) / float64(total)
		if sigma := math.Sqrt(float64(total) * share * (1 - share)); math.Abs(float64(reached-count)) > 5*sigma {
			return fmt.Errorf("%d times %q, expected about %d: %q", reached, pattern, count, printed)
		}
	}
	if len(have) > 0 {
		return fmt.Errorf("unexpected: %v", have)
	}
	return nil
}

func counts(lines []string) (map[string]int, int, error) {
	counts, total := map[string]int{}, 0
	for _, line := range lines {
		found := counted.FindStringSubmatch(line)
		if found == nil {
			return nil, 0, fmt.Errorf("%q is not a line of uniq -c", line)
		}
		n, err := strconv.Atoi(found[1])
		if err != nil {
			return nil, 0, err
		}
		counts[found[2]] += n
		total += n
	}
	return counts, total, nil
}

func matches(shown, printed string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(shown), "…", ".*")
	return regexp.MustCompile("^" + pattern + "$").MatchString(printed)
}
