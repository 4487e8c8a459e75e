// Package istio runs Istio's own code: istioctl, and what istiod spends on patches.
package istio

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"

	"mooring.dev/tests/mesh/internal/testenv"
)

// A Finding is one message of `istioctl analyze`.
type Finding struct {
	Code    string `json:"code"`
	Level   string `json:"level"`
	Origin  string `json:"origin"` // the object
	Message string `json:"message"`
}

func (f Finding) String() string {
	return fmt.Sprintf("%s [%s] (%s) %s", f.Level, f.Code, f.Origin, f.Message)
}

// Analyze runs `istioctl analyze` on a namespace of a cluster, with the given files added.
func Analyze(env *testenv.Env, kubeconfig, namespace string, files ...string) ([]Finding, error) {
	args := []string{"analyze", "--kubeconfig", kubeconfig, "--namespace", namespace, "--output", "json",
		"--log_output_level", "default:none"} // else its log goes to standard output too
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(env.Program("istioctl"), append(args, files...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var findings []Finding
	// istioctl also exits with another code than 0 when it has found an error; it failed only if it printed no findings.
	if parse := json.Unmarshal(stdout.Bytes(), &findings); parse != nil {
		return nil, fmt.Errorf("istioctl analyze: %w\n%s%s", errors.Join(err, parse), stderr.String(), stdout.String())
	}
	return findings, nil
}
