package rig

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// PatchTime is how long istiod's own code takes to apply what `mooring generate` makes of so many rules, on so many host names, with
// so many backends each; and in words, what that is made of.
func PatchTime(t testing.TB, rules, hosts, backends int) (time.Duration, string) {
	t.Helper()
	args := []string{"-rules", strconv.Itoa(rules), "-hosts", strconv.Itoa(hosts), "-backends", strconv.Itoa(backends)}
	program := filepath.Join(cache, "bin", "patches")
	routes := command(t, nil, program, append(args, "-print")...)
	generated := command(t, routes, os.Getenv("MOORING"), "generate", "--file", "-", "--wasm", "oci://registry.example/mooring@sha256:"+
		strings.Repeat("0", 64))
	text := string(command(t, generated, program, args...))
	var milliseconds float64
	if _, err := fmt.Sscanf(text, "%f ms", &milliseconds); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return time.Duration(milliseconds * float64(time.Millisecond)), strings.TrimSpace(text)
}

func command(t testing.TB, input []byte, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %v: %v\n%.2000s", name, args, err, stderr.String())
	}
	return stdout.Bytes()
}
