package rig

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

// A Process is one program that the rig started: a part of the control plane or a gateway's Envoy.
// It is ended by its own pid only, so a second rig on the same machine is never touched.
type Process struct {
	Name string

	argv []string
	env  []string
	log  string
	out  io.Writer // takes the standard output; nil: the log does

	mu       sync.Mutex
	cmd      *exec.Cmd
	done     chan struct{} // closed when the current run has ended
	stopping bool          // the current run is meant to end
	died     error         // a run that ended without being told to
}

// processes lists every process ever started, for the clean-up at the end and after a signal.
var processes struct {
	sync.Mutex
	all []*Process
}

// spawner runs on one operating-system thread that lives as long as the test binary. Linux sends a
// parent-death signal when the *thread* that forked ends, so an ordinary goroutine's thread will not do.
var spawner = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// start runs argv with the given environment, output going to <dir>/<name>.log.
func start(dir, name string, env []string, argv ...string) (*Process, error) {
	return startInto(nil, dir, name, env, argv...)
}

// startInto is start with the standard output going elsewhere than to the log.
func startInto(out io.Writer, dir, name string, env []string, argv ...string) (*Process, error) {
	p := &Process{Name: name, argv: argv, env: env, log: filepath.Join(dir, name+".log"), out: out}
	processes.Lock()
	processes.all = append(processes.all, p)
	processes.Unlock()
	return p, p.start()
}

func (p *Process) start() error {
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
	// A group of its own, so that ^C in a terminal reaches only the test binary, which ends its children in
	// order; and the kernel ends them if the test binary itself is killed or panics.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	spawner() <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.cmd, p.done, p.stopping, p.died = cmd, make(chan struct{}), false, nil
	go p.reap(cmd, p.done)
	return nil
}

func (p *Process) reap(cmd *exec.Cmd, done chan struct{}) {
	err := cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stopping {
		p.died = fmt.Errorf("%s ended by itself: %s", p.Name, cmd.ProcessState)
		if err == nil {
			p.died = fmt.Errorf("%s ended by itself with exit code 0", p.Name)
		}
	}
	close(done)
}

// Stop asks the process to end and kills it if it has not after five seconds.
func (p *Process) Stop() { p.end(syscall.SIGTERM) }

// Kill ends the process as a crash of its machine would.
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

// Died reports a process that ended without the rig ending it.
func (p *Process) Died() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.died
}

// Log is everything the process has written so far, over all its runs.
func (p *Process) Log() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// noise are lines that say nothing and would push the telling ones out of a tail.
var noise = []string{
	"addrConn.createTransport failed to connect", "Error getting keys", // kube-apiserver with this old an etcd
	"Using deprecated option", "header map:", "[source/server/server.cc:467]", // Envoy: what istiod sends, what it can do
}

// tail is the end of the log, for the report of a failure.
func (p *Process) tail(lines int) string {
	telling := slices.DeleteFunc(strings.Split(strings.TrimSpace(p.Log()), "\n"), func(line string) bool {
		return slices.ContainsFunc(noise, func(text string) bool { return strings.Contains(line, text) })
	})
	telling = telling[max(0, len(telling)-lines):]
	for i, line := range telling {
		if len(line) > 400 {
			telling[i] = line[:400] + "…"
		}
	}
	return strings.Join(telling, "\n")
}

// stopAll ends every process, the newest first, and gathers those that had died before. What they would tidy up is thrown away.
func stopAll() error {
	processes.Lock()
	all := processes.all
	processes.all = nil
	processes.Unlock()
	var died []error
	for i := len(all) - 1; i >= 0; i-- {
		died = append(died, all[i].Died())
		all[i].Kill()
	}
	return errors.Join(died...)
}
