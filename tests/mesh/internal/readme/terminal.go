package readme

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/wait"
)

// A Terminal is a shell in the repository whose kubectl and mooring act on a Scenario.
type Terminal struct {
	t     *testing.T
	s     *scenario.Scenario
	root  string // of the repository
	dir   string // for its files
	calls chan call
	shell io.Writer
	lines chan string
	log   strings.Builder // what the shell wrote to its standard error
}

// A call is one of kubectl or mooring. Calls are served on the test's goroutine, on which alone a test may fail.
type call struct {
	program   string
	arguments []string
	input     string
	reply     chan<- reply
}

type reply struct {
	output string
	failed bool
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
	terminal := &Terminal{t: t, s: s, root: root, dir: t.TempDir(), calls: make(chan call), lines: make(chan string)}
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
	terminal.startShell()
	return terminal
}

// script writes a program into a folder that is to be on PATH.
func (m *Terminal) script(folder, name, text string) {
	m.t.Helper()
	dir := filepath.Join(m.dir, folder)
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// path is a PATH that begins with a folder of script.
func (m *Terminal) path(folder string) string {
	return "PATH=" + filepath.Join(m.dir, folder) + ":" + os.Getenv("PATH")
}

func (m *Terminal) startShell() {
	m.t.Helper()
	shell := exec.Command("bash", "-o", "pipefail", "-s")
	shell.Dir, shell.Env = m.root, append(os.Environ(), m.path("bin"), "CHECKSUM=0")
	shell.Stderr = &m.log
	shell.WaitDelay = time.Second // programs of a failed command may still have it
	input, err := shell.StdinPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	output, err := shell.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		_ = input.Close()
		_ = shell.Process.Kill()
		_ = shell.Wait()
	})
	m.shell = input
	go func() {
		defer close(m.lines)
		scanner := bufio.NewScanner(output)
		for scanner.Scan() {
			m.lines <- scanner.Text()
		}
	}()
}

// Run runs commands one after the other. One that prints something else than shown is run again for a while, because the control plane
// needs time for what the commands before it have changed.
func (m *Terminal) Run(commands []Command) {
	m.t.Helper()
	for _, command := range commands {
		wait.Eventually(m.t, fmt.Sprintf("line %d, %s", command.Line, command.Text), func() error {
			printed := m.run(command.Text)
			if err := command.Compare(printed); err != nil {
				return err
			}
			m.t.Logf("line %d: %s\n%s", command.Line, command.Text, strings.Join(printed, "\n"))
			return nil
		})
	}
}

// done follows the output of a command, with its exit code.
const done = "\036exit "

// run runs a command, serves its calls and returns the lines that it has printed. Any exit code but 0 fails the test.
func (m *Terminal) run(text string) []string {
	m.t.Helper()
	fmt.Fprintf(m.shell, "%s\nprintf '\\036exit %%s\\n' $?\n", text)
	var printed []string
	timeout := time.After(wait.Timeout)
	for {
		select {
		case line, ok := <-m.lines:
			if !ok {
				m.t.Fatalf("%s: the shell has ended\n%s", text, m.log.String())
			}
			// The output before may end without a newline.
			before, code, ended := strings.Cut(line, done)
			if before != "" {
				printed = append(printed, before)
			}
			if ended && code != "0" {
				m.t.Fatalf("%s: exit code %s\n%s\n%s", text, code, strings.Join(printed, "\n"), m.log.String())
			}
			if ended {
				return printed
			}
		case call := <-m.calls:
			output, err := m.serve(call)
			if err != nil {
				m.t.Logf("%s %q: %v", call.program, call.arguments, err)
			}
			call.reply <- reply{output, err != nil}
		case <-timeout:
			m.t.Fatalf("%s: not done after %s\n%s", text, wait.Timeout, m.log.String())
		}
	}
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
