//go:build mesh

package scenarios

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/conformance"
	"mooring.dev/tests/mesh/internal/proxy"
	"mooring.dev/tests/mesh/internal/readme"
	"mooring.dev/tests/mesh/internal/registry"
)

// The README takes a user from a cluster with Istio and the files of a release to a session.

func TestReadmeQuickstart(t *testing.T) {
	t.Parallel()
	c, err := rig.Clusters.GetDeploying("install", cluster.GatewayAPI15)
	if err != nil {
		t.Fatal(err)
	}
	conformance.Follow(t, rig.Env, c, proxy.Options{Agent: true})
	server := registry.Start(t, rig.Env)
	shell := readme.NewShell(t, rig.Env, c.Kubeconfig)
	shell.Replace("registry.example", server.Addr)
	unpackRelease(t, shell)
	listenOnOwnPort(t, shell, "quickstart/gateway.yaml")
	commands, err := readme.SectionCommands(rig.Env.RepositoryFile("README.md"), "Install", "On Istio")
	if err != nil {
		t.Fatal(err)
	}
	shell.Run(commands)
}

// unpackRelease puts the files of a release where the shell is, made of the command and the module under test. The command is on no PATH.
func unpackRelease(t *testing.T, shell *readme.Shell) {
	t.Helper()
	const version = "0.1.0"
	image := filepath.Join(t.TempDir(), "image")
	for _, argv := range [][]string{
		{rig.Env.Mooring, "image", "--wasm", rig.Env.Module, "--output-dir", image},
		{"tar", "--create", "--file", filepath.Join(shell.Dir(), "mooring-"+version+"-module-image.tar"), "--directory", image, "."},
		{"tar", "--create", "--gzip", "--file", filepath.Join(shell.Dir(), "mooring-"+version+"-x86_64-unknown-linux-musl.tar.gz"),
			"--directory", filepath.Dir(rig.Env.Mooring), filepath.Base(rig.Env.Mooring)},
	} {
		if output, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", argv, err, output)
		}
	}
	if err := os.Remove(filepath.Join(shell.Dir(), "..", "bin", "mooring")); err != nil {
		t.Fatal(err)
	}
}

// listenOnOwnPort changes the port of the Gateway in a file of examples/, because all gateways of the rig share one network namespace.
func listenOnOwnPort(t *testing.T, shell *readme.Shell, example string) {
	t.Helper()
	text, err := os.ReadFile(rig.Env.RepositoryFile(filepath.Join("examples", example)))
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(rig.Env.NextPort())
	changed := strings.Replace(string(text), "      port: 80\n      protocol", "      port: "+port+"\n      protocol", 1)
	if changed == string(text) {
		t.Fatalf("%s has no listener of port 80", example)
	}
	own := filepath.Join(t.TempDir(), filepath.Base(example))
	if err := os.WriteFile(own, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	shell.Replace("examples/"+example, own, "http://$address/", "http://$address:"+port+"/")
}
