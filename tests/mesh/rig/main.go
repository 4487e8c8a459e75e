// Package rig runs a real Istio on one machine without containers: etcd, kube-apiserver, istiod and, for each gateway
// of a scenario, a stock Envoy. Pods are HTTP servers inside the test binary.
//
// It must run in a network namespace of its own, where 10.244.0.0/15 is local; the script `run` beside this folder
// sees to that and to everything the rig needs from outside.
package rig

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

var (
	cache    string // what the script has built and found
	testdata string // the folder with a folder for each scenario
	state    string // logs and data of this run
)

// Main is for TestMain: it runs the tests and ends every process that they started, whatever happens.
func Main(m *testing.M, testdataDir string) {
	code, err := run(m, testdataDir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mesh rig:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M, testdataDir string) (code int, err error) {
	if cache = os.Getenv("MESH_CACHE"); cache == "" || os.Getenv("ENVOY") == "" {
		return 1, fmt.Errorf("MESH_CACHE and ENVOY are not set; start the tests with the script `run`")
	}
	if testdata, err = filepath.Abs(testdataDir); err != nil {
		return 1, err
	}
	if state, err = makeState(); err != nil {
		return 1, err
	}
	if os.Getenv("MESH_KEEP") != "" {
		fmt.Fprintln(os.Stderr, "mesh rig: logs are in", state)
	} else {
		defer os.RemoveAll(state)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		sig := <-signals
		fmt.Fprintln(os.Stderr, "mesh rig:", sig)
		_ = stopAll()
		if os.Getenv("MESH_KEEP") == "" {
			_ = os.RemoveAll(state)
		}
		os.Exit(1)
	}()
	code = m.Run()
	return code, stopAll()
}

// makeState makes the folder for this run, and removes those of runs that a panic or a kill kept from doing so.
func makeState() (string, error) {
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
