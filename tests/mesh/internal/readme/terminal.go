package readme

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/scenario"
)

// A Terminal is a Shell in the repository whose kubectl and mooring act on a Scenario.
type Terminal struct {
	*Shell
	s    *scenario.Scenario
	root string // of the repository
}

// shim is kubectl and mooring: it passes its arguments on, and its standard input if an argument is "-".
const shim = `#!/bin/bash
form=(--form-string "program=${0##*/}")
for argument; do
	form+=(--form-string "argument=$argument")
	if [ "$argument" = - ]; then form+=(--form "input=<-"); fi
done
exec curl --silent --show-error --fail-with-body --unix-socket %q "${form[@]}" http://test/
`

// NewTerminal starts a shell. root is the top of the repository.
func NewTerminal(t *testing.T, s *scenario.Scenario, root string) *Terminal {
	t.Helper()
	terminal := &Terminal{Shell: &Shell{t: t, dir: t.TempDir(), calls: make(chan call), lines: make(chan string)}, s: s, root: root}
	terminal.serve = terminal.play
	socket := filepath.Join(terminal.dir, "calls")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(terminal.receive)}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	for _, program := range []string{"kubectl", "mooring"} {
		terminal.script("bin", program, fmt.Sprintf(shim, socket))
	}
	terminal.start(root, "CHECKSUM=0")
	return terminal
}

// receive hands a call of a shim over to the test's goroutine.
func (m *Terminal) receive(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseMultipartForm(1 << 24); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer := make(chan reply, 1)
	form := r.MultipartForm.Value
	m.calls <- call{program: strings.Join(form["program"], ""), arguments: form["argument"], input: strings.Join(form["input"], ""), reply: answer}
	result := <-answer
	if result.failed {
		w.WriteHeader(http.StatusInternalServerError)
	}
	_, _ = io.WriteString(w, result.output)
}
