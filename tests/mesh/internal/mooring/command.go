// Package mooring runs the `mooring` command, and finds in gateways what it has generated.
package mooring

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"

	"mooring.dev/tests/mesh/internal/testenv"
)

// BackendHeader is the internal request header that session routes match; its value is the key of a backend.
const BackendHeader = "x-mooring-backend"

// A Command is how the `mooring` command runs.
type Command struct {
	Dir        string // the working directory; empty for that of the tests
	Kubeconfig string // kubectl's current cluster
	Stdin      []byte
}

// Run runs the command with these arguments. An error means that it did not start.
func (c Command) Run(env *testenv.Env, args ...string) (stdout, stderr string, code int, err error) {
	if _, err := os.Stat(env.Mooring); err != nil {
		return "", "", 0, fmt.Errorf("MOORING: %w; build it first", err)
	}
	cmd := exec.Command(env.Mooring, args...)
	cmd.Dir = c.Dir
	if c.Kubeconfig != "" {
		cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig)
	}
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(c.Stdin), &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		return "", "", 0, err
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode(), nil
}

// ModuleURL returns how a WasmPlugin names the module under test.
func ModuleURL(env *testenv.Env) (string, error) {
	if _, err := os.Stat(env.Module); err != nil {
		return "", fmt.Errorf("MOORING_WASM: %w; build it first", err)
	}
	return "file://" + env.Module, nil
}
