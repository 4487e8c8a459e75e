package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// A gateway is the Envoy of one Gateway, if it has one.
type gateway struct {
	name    types.NamespacedName
	address string
	tools   Tools

	bootstrap []byte
	envoy     *exec.Cmd
	ended     chan struct{}
}

// serve generates a bootstrap, and replaces Envoy if the bootstrap has changed.
func (g *gateway) serve(in input, round int) error {
	objects, err := in.of(g.name)
	if err != nil {
		return err
	}
	if objects == nil {
		g.stop()
		return nil
	}
	bootstrap, err := g.generate(objects, in.ports, fmt.Sprintf("%03d-%s", round, g.name.Name))
	if err != nil {
		g.stop()
		return err
	}
	if bytes.Equal(bootstrap, g.bootstrap) {
		return nil
	}
	g.stop()
	if err := g.start(bootstrap); err != nil {
		g.stop()
		return err
	}
	return nil
}

// generate returns the bootstrap. It keeps input, output and messages in files.
func (g *gateway) generate(objects []byte, ports map[int64]bool, name string) ([]byte, error) {
	base := filepath.Join(g.tools.Dir, name)
	arguments := []string{
		"generate", "--target", "envoy", "--output", "json", "--file", base + ".input.json",
		"--wasm", g.tools.Module, "--admin", g.admin(),
	}
	for _, port := range slices.Sorted(maps.Keys(ports)) {
		arguments = append(arguments, "--listen", fmt.Sprintf("%d=%s:%d", port, g.address, port))
	}
	if err := os.WriteFile(base+".input.json", objects, 0o600); err != nil {
		return nil, err
	}
	var out, messages bytes.Buffer
	command := exec.Command(g.tools.Mooring, arguments...)
	command.Stdout, command.Stderr = &out, &messages
	err := command.Run()
	for suffix, content := range map[string]*bytes.Buffer{".json": &out, ".messages": &messages} {
		if err := os.WriteFile(base+suffix, content.Bytes(), 0o600); err != nil {
			return nil, err
		}
	}
	// Exit code 3: some objects were omitted.
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 3) {
		return nil, fmt.Errorf("mooring generate: %w (%s.messages)", err, name)
	}
	return out.Bytes(), nil
}

func (g *gateway) admin() string { return g.address + ":9901" }

func (g *gateway) start(bootstrap []byte) error {
	file := filepath.Join(g.tools.Dir, g.name.Name+".envoy.json")
	if err := os.WriteFile(file, bootstrap, 0o600); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(g.tools.Dir, g.name.Name+".envoy.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	g.bootstrap, g.ended = bootstrap, make(chan struct{})
	g.envoy = exec.Command(g.tools.Envoy, "--config-path", file, "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning")
	g.envoy.Stdout, g.envoy.Stderr = log, log
	g.envoy.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := g.envoy.Start(); err != nil {
		g.envoy = nil
		return err
	}
	go func(envoy *exec.Cmd, ended chan struct{}) {
		envoy.Wait()
		close(ended)
	}(g.envoy, g.ended)
	return g.awaitReady()
}

func (g *gateway) awaitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.admin()+"/ready", nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-g.ended:
			return fmt.Errorf("Envoy has ended: %s", g.envoy.ProcessState)
		case <-ctx.Done():
			return errors.New("Envoy is not ready after 30 seconds")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (g *gateway) stop() {
	if g.envoy != nil {
		g.envoy.Process.Kill()
		<-g.ended
	}
	g.envoy, g.bootstrap = nil, nil
}
