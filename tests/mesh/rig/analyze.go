package rig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
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

// Analyze runs `istioctl analyze` on the scenario's namespace as it is in the cluster, with the given files added.
func (s *Scenario) Analyze(files ...string) []Finding {
	s.t.Helper()
	args := []string{"analyze", "--kubeconfig", s.Cluster.Kubeconfig, "--namespace", s.Namespace, "--output", "json",
		"--log_output_level", "default:none"} // else its log goes to standard output too
	for _, file := range files {
		args = append(args, s.path(file))
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(filepath.Join(cache, "bin", "istioctl"), args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var findings []Finding
	// istioctl's exit code is not 0 when it has found an error, so what counts is whether it printed its findings.
	if parse := json.Unmarshal(stdout.Bytes(), &findings); parse != nil {
		s.t.Fatalf("istioctl analyze: %v\n%s%s", errors.Join(err, parse), stderr.String(), stdout.String())
	}
	return findings
}
