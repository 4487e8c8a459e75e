// Package testenv holds what all tests of one run share: the programs, the folders, the processes, and the addresses of pods.
//
// A run needs a network namespace in which 10.244.0.0/15 is local. The script `run` in this module's root opens it and builds the
// programs.
package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"mooring.dev/tests/mesh/internal/process"
)

// Env is the environment of one test run. It is safe for concurrent use.
type Env struct {
	Testdata string // the folder that has a folder for each scenario
	StateDir string // logs and data of this run
	Envoy    string // the path of the Envoy binary
	// Mooring, Controller and Module are the paths of the command, of the controller and of the Wasm module. They need not exist for tests
	// that do not use them.
	Mooring, Controller, Module string
	Processes                   *process.Group

	cache            string
	lastIP, lastPort atomic.Int32
}

// Run is for TestMain: it makes the environment, gives it to tests, and returns the exit code. It ends every process that the tests
// started, also after a signal.
func Run(testdata string, tests func(*Env) int) int {
	code, err := run(testdata, tests)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mesh rig:", err)
		return 1
	}
	return code
}

func run(testdata string, tests func(*Env) int) (int, error) {
	e := &Env{
		Envoy: os.Getenv("ENVOY"), Mooring: os.Getenv("MOORING"), Controller: os.Getenv("MOORING_CONTROLLER"), Module: os.Getenv("MOORING_WASM"),
		cache: os.Getenv("MESH_CACHE"), Processes: process.NewGroup(),
	}
	if e.cache == "" || e.Envoy == "" {
		return 1, errors.New("MESH_CACHE and ENVOY are not set; start the tests with the script `run`")
	}
	var err error
	if e.Testdata, err = filepath.Abs(testdata); err != nil {
		return 1, err
	}
	if e.StateDir, err = makeStateDir(); err != nil {
		return 1, err
	}
	removeState := func() { _ = os.RemoveAll(e.StateDir) }
	if os.Getenv("MESH_KEEP") != "" {
		fmt.Fprintln(os.Stderr, "mesh rig: logs are in", e.StateDir)
		removeState = func() {}
	}
	defer removeState()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		sig := <-signals
		fmt.Fprintln(os.Stderr, "mesh rig:", sig)
		_ = e.Processes.KillAll()
		removeState()
		os.Exit(1)
	}()
	code := tests(e)
	return code, e.Processes.KillAll()
}

// makeStateDir makes the folder of this run, and removes those of runs that could not remove theirs.
func makeStateDir() (string, error) {
	const prefix = "mooring-mesh-"
	old, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	if err != nil {
		return "", err
	}
	for _, dir := range old {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), prefix))
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir)
		}
	}
	dir := filepath.Join(os.TempDir(), prefix+strconv.Itoa(os.Getpid()))
	return dir, os.Mkdir(dir, 0o700)
}

// Program returns the path of a program that the script has built, for example istiod.
func (e *Env) Program(name string) string { return filepath.Join(e.cache, "bin", name) }

// CRDs returns the folder of the definitions of a release, for example gateway-api-1.5.
func (e *Env) CRDs(release string) string { return filepath.Join(e.cache, "crds", release) }

// RepositoryFile returns the path of a file or folder of the repository.
func (e *Env) RepositoryFile(path string) string {
	return filepath.Join(e.Testdata, "..", "..", "..", path)
}

// NextIP returns a pod address that no other pod of the run has.
func (e *Env) NextIP() string {
	n := e.lastIP.Add(1)
	return fmt.Sprintf("10.244.%d.%d", n/250, n%250+1)
}

// NextPort returns a port that nothing else in the run binds. All pods and gateways share one network namespace, and some programs
// bind their ports on every address, as Envoy does with listeners of istiod.
func (e *Env) NextPort() int { return 20000 + int(e.lastPort.Add(1)) }

// NextAddress returns a loopback address and port that nothing else in the run listens on.
func (e *Env) NextAddress() string { return fmt.Sprintf("127.0.0.1:%d", e.NextPort()) }

// StartEnvoy starts an Envoy with these variables in its environment. Its log goes to <dir>/<name>.log.
func (e *Env) StartEnvoy(dir, name string, variables []string, args ...string) (*process.Process, error) {
	return e.Processes.Start(dir, name, append([]string{e.Envoy}, args...), process.WithEnv(variables...))
}
