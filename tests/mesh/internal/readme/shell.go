package readme

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mooring.dev/tests/mesh/internal/testenv"
	"mooring.dev/tests/mesh/internal/wait"
)

// A Shell runs the commands of a page. Its programs are real unless a Terminal plays some of them.
type Shell struct {
	t     *testing.T
	dir   string // for its files
	input io.Writer
	lines chan string
	log   strings.Builder // what it wrote to its standard error
	// replacements are what stands for text of a page: pairs of old and new.
	replacements []string

	// Meanwhile, if set, is called again and again on the test's goroutine while a command runs, to play what the command waits for.
	Meanwhile func()

	// calls are those of the programs that serve plays. Nil if it plays none.
	calls chan call
	serve func(call) (string, error)
}

// A call is one of a program that is played. Calls are served on the test's goroutine, on which alone a test may fail.
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

// userPrograms are what the user of a page has installed besides mooring.
var userPrograms = []string{"crane", "helm", "istioctl", "kubectl", "kubectl-argo-rollouts", "kustomize"}

// NewShell starts a shell with the real programs of a user, whose current cluster is that of the kubeconfig. Its folder shows the
// repository's files; what the commands write there does not end up in the repository. Variables are NAME=value.
func NewShell(t *testing.T, env *testenv.Env, kubeconfig string, variables ...string) *Shell {
	t.Helper()
	s := &Shell{t: t, dir: t.TempDir(), lines: make(chan string)}
	s.link("bin", "mooring", env.Mooring)
	for _, program := range userPrograms {
		s.link("bin", program, env.Program(program))
	}
	entries, err := os.ReadDir(env.RepositoryFile(""))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		path, err := filepath.Abs(env.RepositoryFile(entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		s.link("work", entry.Name(), path)
	}
	s.start(filepath.Join(s.dir, "work"), append(variables, "KUBECONFIG="+kubeconfig, "HOME="+s.dir)...)
	return s
}

// Replace lets other text stand for text of the page, such as the address of a registry. Texts are pairs of old and new.
func (s *Shell) Replace(texts ...string) { s.replacements = append(s.replacements, texts...) }

func (s *Shell) replaced(text string) string {
	return strings.NewReplacer(s.replacements...).Replace(text)
}

// Dir is the folder in which the commands run.
func (s *Shell) Dir() string { return filepath.Join(s.dir, "work") }

func (s *Shell) link(folder, name, target string) {
	s.t.Helper()
	err := os.MkdirAll(filepath.Join(s.dir, folder), 0o755)
	if err == nil {
		err = os.Symlink(target, filepath.Join(s.dir, folder, name))
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// Program makes a shell script a program of the shell.
func (s *Shell) Program(name, text string) { s.script("bin", name, text) }

// script writes a program into a folder that is to be on PATH.
func (s *Shell) script(folder, name, text string) {
	s.t.Helper()
	dir := filepath.Join(s.dir, folder)
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// path is a PATH that begins with a folder of programs.
func (s *Shell) path(folder string) string {
	return "PATH=" + filepath.Join(s.dir, folder) + ":" + os.Getenv("PATH")
}

func (s *Shell) start(dir string, variables ...string) {
	s.t.Helper()
	shell := exec.Command("bash", "-o", "pipefail", "-s")
	shell.Dir, shell.Env = dir, append(os.Environ(), append(variables, s.path("bin"))...)
	shell.Stderr = &s.log
	shell.WaitDelay = time.Second // programs of a failed command may still have it
	input, err := shell.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	output, err := shell.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = input.Close()
		_ = shell.Process.Kill()
		_ = shell.Wait()
	})
	s.input = input
	go func() {
		defer close(s.lines)
		scanner := bufio.NewScanner(output)
		for scanner.Scan() {
			s.lines <- scanner.Text()
		}
	}()
}

// Run runs commands one after the other. One that fails, or prints something else than shown, is run again for a while, because the
// control plane needs time for what the commands before it have changed; a command without output is not.
func (s *Shell) Run(commands []Command) {
	s.t.Helper()
	for _, command := range commands {
		for i, line := range command.Output {
			command.Output[i] = s.replaced(line)
		}
		wait.Eventually(s.t, fmt.Sprintf("line %d, %s", command.Line, command.Text), func() error {
			printed, err := s.run(command.Text)
			if err != nil && len(command.Output) == 0 {
				return wait.Permanent(err)
			}
			if err == nil {
				err = command.Compare(printed)
			}
			if err != nil {
				return err
			}
			s.t.Logf("line %d: %s\n%s", command.Line, command.Text, strings.Join(printed, "\n"))
			return nil
		})
	}
}

// done follows the output of a command, with its exit code.
const done = "\036exit "

// run runs a command, serves its calls and returns the lines that it has printed. Any exit code but 0 is an error.
func (s *Shell) run(text string) ([]string, error) {
	s.t.Helper()
	fmt.Fprintf(s.input, "%s\nprintf '\\036exit %%s\\n' $?\n", s.replaced(text))
	var printed []string
	timeout := time.After(wait.Timeout)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if s.Meanwhile != nil {
				s.Meanwhile()
			}
		case line, ok := <-s.lines:
			if !ok {
				s.t.Fatalf("%s: the shell has ended\n%s", text, s.log.String())
			}
			// The output before may end without a newline.
			before, code, ended := strings.Cut(line, done)
			if before != "" {
				printed = append(printed, before)
			}
			if ended && code != "0" {
				return nil, fmt.Errorf("exit code %s\n%s\n%s", code, strings.Join(printed, "\n"), s.log.String())
			}
			if ended {
				return printed, nil
			}
		case call := <-s.calls:
			output, err := s.serve(call)
			if err != nil {
				s.t.Logf("%s %q: %v", call.program, call.arguments, err)
			}
			call.reply <- reply{output, err != nil}
		case <-timeout:
			s.t.Fatalf("%s: not done after %s\n%s", text, wait.Timeout, s.log.String())
		}
	}
}

// WriteFiles writes files into the folder in which the commands run.
func (s *Shell) WriteFiles(files map[string]string) {
	s.t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(s.Dir(), name), []byte(text+"\n"), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
}
