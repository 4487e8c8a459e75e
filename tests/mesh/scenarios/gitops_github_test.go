//go:build mesh

package scenarios

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"sigs.k8s.io/yaml"
)

// The workflows in deploy/github: their commands in a real repository of Git, as a runner of GitHub Actions would run them. The registry
// of the installation step is played.

// A workflow is what these tests read of a workflow of GitHub Actions.
type workflow struct {
	Env  map[string]string
	Jobs map[string]struct {
		Steps []struct{ Name, Uses, Run string }
	}
}

func readWorkflow(t *testing.T, name string) workflow {
	t.Helper()
	var read workflow
	if err := yaml.Unmarshal([]byte(repositoryText(t, "deploy/github/"+name)), &read); err != nil {
		t.Fatal(err)
	}
	return read
}

// A checkout is a clone of a repository with the manifests of an example.
type checkout struct{ *pipeline }

func newCheckout(t *testing.T) checkout {
	t.Helper()
	p := newPipeline(t)
	p.write("runner/.keep", "")
	p.write("bin/docker", "#!/bin/sh\n[ \"$1\" != create ] || echo id\n[ \"$1\" != cp ] || cp \"$HOME/bin/mooring\" \"$3\"\n")
	if err := os.Chmod(filepath.Join(p.dir, "bin/docker"), 0o755); err != nil {
		t.Fatal(err)
	}
	identity := map[string]string{"GIT_CONFIG_GLOBAL": filepath.Join(p.dir, "gitconfig"), "GIT_CONFIG_NOSYSTEM": "1"}
	p.write("gitconfig", "[user]\nname = test\nemail = test@example.com\n[init]\ndefaultBranch = main\n")
	c := checkout{p.with(identity)}
	c.git(".", "init", "--quiet", "--bare", "origin")
	c.git(".", "clone", "--quiet", "origin", "clone")
	c.writeApp("clone/manifests")
	c.commit("Add the shop")
	return c
}

func (c checkout) git(folder string, arguments ...string) string {
	c.t.Helper()
	stdout, stderr, code := c.run(folder, append([]string{"git"}, arguments...)...)
	if code != 0 {
		c.t.Fatalf("git %q: exit code %d: %s", arguments, code, stderr)
	}
	return stdout
}

func (c checkout) commit(message string) {
	c.t.Helper()
	c.git("clone", "add", "--all")
	c.git("clone", "commit", "--quiet", "--message", message)
	c.git("clone", "push", "--quiet", "origin", "HEAD:main")
}

// runJob runs the commands of a job until one fails, and returns what they print and the exit code.
func (c checkout) runJob(flow workflow, job string) (string, int) {
	c.t.Helper()
	path := filepath.Join(c.dir, "github-path")
	variables := map[string]string{"GITHUB_PATH": path, "RUNNER_TEMP": filepath.Join(c.dir, "runner"), "GITHUB_ACTIONS": "true"}
	maps.Copy(variables, flow.Env)
	all := ""
	for _, step := range flow.Jobs[job].Steps {
		if step.Uses != "" {
			continue
		}
		if added, err := os.ReadFile(path); err == nil {
			variables["PATH"] = strings.TrimSpace(string(added)) + ":" + c.variables["PATH"]
		}
		c.write("step.sh", step.Run)
		stdout, stderr, code := c.with(variables).run("clone", "bash", "-e", filepath.Join(c.dir, "step.sh"))
		all += stdout + stderr
		if code != 0 {
			return all, code
		}
	}
	return all, 0
}

func TestGitHubWorkflows(t *testing.T) {
	t.Parallel()
	c := newCheckout(t)
	commit, diff := readWorkflow(t, "mooring-commit.yml"), readWorkflow(t, "mooring-diff.yml")

	output, code := c.runJob(diff, "diff")
	if code != 2 {
		t.Fatalf("without generated objects: exit code %d: %s", code, output)
	}
	if output, code := c.runJob(commit, "commit"); code != 0 {
		t.Fatalf("exit code %d: %s", code, output)
	}
	files := c.git("clone", "ls-tree", "-r", "--name-only", "origin/main", "generated/")
	if len(strings.Fields(files)) != 3 {
		t.Fatalf("unexpected files: %s", files)
	}
	if message := c.git("clone", "log", "-1", "--format=%an: %s", "origin/main"); !strings.HasPrefix(message, "mooring: Generate generated with mooring ") {
		t.Fatal(message)
	}
	if output, code := c.runJob(diff, "diff"); code != 0 || strings.Contains(output, "::error") {
		t.Fatalf("exit code %d: %s", code, output)
	}
	before := c.git("clone", "rev-parse", "origin/main")
	if output, code := c.runJob(commit, "commit"); code != 0 || !strings.Contains(output, "generated is current") {
		t.Fatalf("exit code %d: %s", code, output)
	}
	if after := c.git("clone", "rev-parse", "origin/main"); after != before {
		t.Fatal("a run without changes has committed")
	}

	// A policy that changes makes its objects outdated, until the next commit.
	policy := repositoryText(t, "examples/sticky-canary/canary.yaml")
	c.write("clone/manifests/canary.yaml", strings.Replace(policy, "idleTimeout: 30m", "idleTimeout: 20m", 1))
	output, code = c.runJob(diff, "diff")
	if code != 1 || !strings.Contains(output, "::error file=generated/wasmplugin-default-mooring-web.yaml,line=") {
		t.Fatalf("exit code %d: %s", code, output)
	}
	c.commit("Change the policy")
	if output, code := c.runJob(commit, "commit"); code != 0 {
		t.Fatalf("exit code %d: %s", code, output)
	}
	if output, code := c.runJob(diff, "diff"); code != 0 {
		t.Fatalf("exit code %d: %s", code, output)
	}

	// An error is shown at its line, and nothing is committed.
	c.write("clone/manifests/canary.yaml", brokenApp(t))
	c.commit("Break the shop")
	before = c.git("clone", "rev-parse", "origin/main")
	for job, flow := range map[string]workflow{"commit": commit, "diff": diff} {
		output, code := c.runJob(flow, job)
		if code == 0 || !strings.Contains(output, "::error file=manifests/canary.yaml,line=") {
			t.Fatalf("%s: exit code %d: %s", job, code, output)
		}
	}
	if after := c.git("clone", "rev-parse", "origin/main"); after != before {
		t.Fatal("a run with an error has committed")
	}
}

// TestGitHubCodeScanning checks the log of mooring-scan.yml against the schema of SARIF, and against what GitHub needs besides.
func TestGitHubCodeScanning(t *testing.T) {
	t.Parallel()
	c := newCheckout(t)
	flow := readWorkflow(t, "mooring-scan.yml")
	if output, code := c.runJob(flow, "scan"); code != 0 {
		t.Fatalf("exit code %d: %s", code, output)
	}
	if results := c.sarifResults(); len(results) != 0 {
		t.Fatalf("unexpected results: %d", len(results))
	}

	// The log is complete although the step fails.
	c.write("clone/manifests/canary.yaml", brokenApp(t))
	if output, code := c.runJob(flow, "scan"); code != 1 {
		t.Fatalf("with an error: exit code %d: %s", code, output)
	}
	results := c.sarifResults()
	if len(results) == 0 {
		t.Fatal("an error has no result")
	}
	for _, result := range results {
		if len(result.Locations) != 1 {
			t.Fatalf("%s has %d locations", *result.RuleID, len(result.Locations))
		}
		place := result.Locations[0].PhysicalLocation
		if uri := *place.ArtifactLocation.URI; uri != "manifests/canary.yaml" || *place.Region.StartLine < 1 {
			t.Fatalf("%s is at %s", *result.RuleID, uri)
		}
	}
}

// sarifResults returns the results of the log in the clone. It has the fields of SARIF and no others, with valid values.
func (c checkout) sarifResults() []*sarif.Result {
	c.t.Helper()
	log, err := os.ReadFile(filepath.Join(c.dir, "clone/mooring.sarif"))
	if err != nil {
		c.t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(log))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(new(sarif.Report)); err != nil {
		c.t.Fatal(err)
	}
	report, err := sarif.FromBytes(log)
	if err != nil {
		c.t.Fatal(err)
	}
	// Defaults of the schema that the package does not know.
	run := report.Runs[0]
	run.Language, run.Tool.Driver.Language, run.NewlineSequences = "en-US", "en-US", []string{"\r\n", "\n"}
	if err := report.Validate(); err != nil {
		c.t.Fatal(err)
	}
	return run.Results
}
