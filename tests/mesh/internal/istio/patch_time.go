package istio

import (
	"bytes"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"mooring.dev/tests/mesh/internal/mooring"
	"mooring.dev/tests/mesh/internal/testenv"
)

// PatchTime returns how long istiod's own code takes to apply what `mooring generate` makes of so many rules, on so many host names, with
// so many backends each, and a description of it.
func PatchTime(env *testenv.Env, rules, hosts, backends int) (time.Duration, string, error) {
	args := []string{"-rules", strconv.Itoa(rules), "-hosts", strconv.Itoa(hosts), "-backends", strconv.Itoa(backends)}
	routes, err := patches(env, nil, append(args, "-print")...)
	if err != nil {
		return 0, "", err
	}
	generated, stderr, code, err := mooring.Command{Stdin: routes}.Run(env, "generate", "--file", "-",
		"--wasm", "oci://registry.example/mooring@sha256:"+strings.Repeat("0", 64))
	if err != nil || code != 0 {
		return 0, "", fmt.Errorf("mooring generate: exit code %d, %w\n%.2000s", code, err, stderr)
	}
	text, err := patches(env, []byte(generated), args...)
	if err != nil {
		return 0, "", err
	}
	var milliseconds float64
	if _, err := fmt.Sscanf(string(text), "%f ms", &milliseconds); err != nil {
		return 0, "", fmt.Errorf("%w: %s", err, text)
	}
	return time.Duration(milliseconds * float64(time.Millisecond)), strings.TrimSpace(string(text)), nil
}

func patches(env *testenv.Env, input []byte, args ...string) ([]byte, error) {
	cmd := exec.Command(env.Program("patches"), args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%v: %w\n%.2000s", cmd, err, stderr.String())
	}
	return stdout.Bytes(), nil
}
