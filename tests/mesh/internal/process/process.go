// Package process starts the programs of a test run and ends all of them with it.
package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Group holds every process of a test run, so that all of them end with it. The zero value is not usable; see NewGroup.
type Group struct {
	spawn chan func()

	mu  sync.Mutex
	all []*Process
}

// NewGroup returns an empty group. Its processes are started by one operating-system thread that lives as long as the test binary:
// Linux sends a parent-death signal when the thread that forked ends, and an ordinary goroutine's thread may end at any time.
func NewGroup() *Group {
	g := &Group{spawn: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for f := range g.spawn {
			f()
		}
	}()
	return g
}

// An Option changes how a process starts.
type Option func(*Process)

// WithEnv adds NAME=value to the environment.
func WithEnv(variables ...string) Option {
	return func(p *Process) { p.env = append(p.env, variables...) }
}

// WithOutput sends standard output to a writer instead of to the log.
func WithOutput(out io.Writer) Option { return func(p *Process) { p.out = out } }

// Start runs argv. The output goes to <dir>/<name>.log.
func (g *Group) Start(dir, name string, argv []string, opts ...Option) (*Process, error) {
	p := &Process{Name: name, argv: argv, log: filepath.Join(dir, name+".log"), spawn: g.spawn}
	for _, opt := range opts {
		opt(p)
	}
	g.mu.Lock()
	g.all = append(g.all, p)
	g.mu.Unlock()
	return p, p.Start()
}

// KillAll kills every process, the newest first, and returns the errors of those that had exited by themselves.
func (g *Group) KillAll() error {
	g.mu.Lock()
	all := g.all
	g.all = nil
	g.mu.Unlock()
	var exited []error
	for _, p := range slices.Backward(all) {
		exited = append(exited, p.Exited())
		p.Kill()
	}
	return errors.Join(exited...)
}

// A Process is one program of a Group: a part of the control plane, an Envoy, or the server of a pod.
// It is ended by its own pid only, so a second test run on the same machine is never touched. It is safe for concurrent use.
type Process struct {
	Name string

	argv  []string
	env   []string
	log   string
	out   io.Writer // standard output; nil means the log
	spawn chan<- func()

	mu       sync.Mutex
	cmd      *exec.Cmd
	done     chan struct{} // closed when the current run has ended
	stopping bool          // the rig is ending the current run
	exited   error         // set if a run ended without the rig ending it
}

// Start runs the program again after Stop or Kill.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), p.env...), log, log
	if p.out != nil {
		cmd.Stdout = p.out
	}
	cmd.Dir = filepath.Dir(p.log)
	// In its own process group, so that ^C in a terminal reaches only the test binary, which ends its children in order. The
	// kernel ends them if the test binary itself is killed or panics.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	p.spawn <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.cmd, p.done, p.stopping, p.exited = cmd, make(chan struct{}), false, nil
	go p.reap(cmd, p.done)
	return nil
}

func (p *Process) reap(cmd *exec.Cmd, done chan struct{}) {
	err := cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stopping {
		p.exited = fmt.Errorf("%s exited by itself: %s", p.Name, cmd.ProcessState)
		if err == nil {
			p.exited = fmt.Errorf("%s exited by itself with exit code 0", p.Name)
		}
	}
	close(done)
}

// Stop sends SIGTERM, and SIGKILL after five seconds.
func (p *Process) Stop() { p.end(syscall.SIGTERM) }

// Kill sends SIGKILL, as a crash would end the process.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

func (p *Process) end(sig syscall.Signal) {
	p.mu.Lock()
	if p.cmd == nil {
		p.mu.Unlock()
		return
	}
	p.stopping = true
	cmd, done := p.cmd, p.done
	p.mu.Unlock()
	select {
	case <-done:
		return
	default:
	}
	_ = cmd.Process.Signal(sig)
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		_ = cmd.Process.Kill()
		<-done
	}
}

// Pause stops the process where it is, until Resume.
func (p *Process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (p *Process) Resume() error { return p.signal(syscall.SIGCONT) }

func (p *Process) signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Signal(sig)
}

// AwaitExit waits until the process has ended by itself, which then is no error of the run, and returns its exit code.
func (p *Process) AwaitExit(timeout time.Duration) (int, error) {
	p.mu.Lock()
	cmd, done := p.cmd, p.done
	p.mu.Unlock()
	select {
	case <-done:
	case <-time.After(timeout):
		return 0, fmt.Errorf("%s still runs after %s", p.Name, timeout)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exited = nil
	return cmd.ProcessState.ExitCode(), nil
}

// ExitCode returns the exit code of the last run, which has ended; -1 if a signal has ended it.
func (p *Process) ExitCode() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.ProcessState.ExitCode()
}

// PID returns the process id of the last run.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Pid
}

// Exited returns an error if the process ended without the rig ending it.
func (p *Process) Exited() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exited
}

// Log returns everything that the process has written, over all its runs.
func (p *Process) Log() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// noise holds texts of log lines that explain no failure and would fill the tail of a log.
var noise = []string{
	"addrConn.createTransport failed to connect", "Error getting keys", // kube-apiserver with an old etcd
	"Using deprecated option", "header map:", "[source/server/server.cc:467]", // Envoy about the configuration of istiod
}

// Tail returns the end of the log under a heading, for the report of a failure.
func (p *Process) Tail() string {
	const lines = 25
	useful := slices.DeleteFunc(strings.Split(strings.TrimSpace(p.Log()), "\n"), func(line string) bool {
		return slices.ContainsFunc(noise, func(text string) bool { return strings.Contains(line, text) })
	})
	useful = useful[max(0, len(useful)-lines):]
	for i, line := range useful {
		if len(line) > 400 {
			useful[i] = line[:400] + "…"
		}
	}
	return fmt.Sprintf("---- the end of %s's log ----\n%s\n", p.Name, strings.Join(useful, "\n"))
}
