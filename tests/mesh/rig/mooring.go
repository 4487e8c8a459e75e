package rig

import (
	"bytes"
	"os"
	"os/exec"
)

// Mooring runs the `mooring` command in the scenario's folder, with the cluster as kubectl's current one, and returns
// what it prints. Any exit code but 0 fails the test.
func (s *Scenario) Mooring(args ...string) string {
	s.t.Helper()
	stdout, stderr, code := s.TryMooring(args...)
	if code != 0 {
		s.t.Fatalf("mooring %q: exit code %d\n%s%s", args, code, stdout, stderr)
	}
	return stdout
}

// TryMooring is Mooring for a test that is about the exit code or the messages.
func (s *Scenario) TryMooring(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	cmd := exec.Command(s.built("MOORING"), args...)
	cmd.Dir = s.options.dir
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.Cluster.Kubeconfig)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		s.t.Fatal(err) // it did not even start
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// ModuleURL is how a WasmPlugin names the module under test.
func (s *Scenario) ModuleURL() string {
	s.t.Helper()
	return "file://" + s.built("MOORING_WASM")
}

// built is the path of a part of Mooring. A test that needs one fails without it, since a skipped test looks passed.
func (s *Scenario) built(variable string) string {
	s.t.Helper()
	path := os.Getenv(variable)
	if _, err := os.Stat(path); err != nil {
		s.t.Fatalf("%s: %v; build it first", variable, err)
	}
	return path
}
