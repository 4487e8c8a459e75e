//go:build mesh

package scenarios

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"mooring.dev/tests/mesh/internal/mooring"
	"mooring.dev/tests/mesh/internal/readme"
	"mooring.dev/tests/mesh/internal/registry"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

// moduleImage writes the module under test as an image layout, and returns its folder and the digest that `mooring image` prints.
func moduleImage(t *testing.T) (dir, digest string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "image")
	stdout, stderr, code, err := mooring.Command{}.Run(rig.Env, "image", "--wasm", rig.Env.Module, "--output-dir", dir)
	if err != nil || code != 0 || stderr != "" {
		t.Fatalf("mooring image: exit status %d, %v\n%s", code, err, stderr)
	}
	return dir, strings.TrimSuffix(stdout, "\n")
}

// onlyImage reads the one image of a layout, as the tools that push layouts do.
func onlyImage(t *testing.T, dir string) v1.Image {
	t.Helper()
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].MediaType != types.OCIManifestSchema1 {
		t.Fatalf("the layout has %+v, expected one manifest", manifest.Manifests)
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestModuleImageIsValid(t *testing.T) {
	t.Parallel()
	dir, printed := moduleImage(t)
	image := onlyImage(t, dir)
	if err := validate.Image(image); err != nil {
		t.Error(err)
	}
	if digest, err := image.Digest(); err != nil || digest.String() != printed {
		t.Errorf("digest %v, %v, but mooring image printed %q", digest, err, printed)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("layers %v, %v", layers, err)
	}
	if mediaType, err := layers[0].MediaType(); err != nil || mediaType != types.OCILayer {
		t.Errorf("media type %v, %v", mediaType, err)
	}
	archive, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	content, err := io.ReadAll(archive)
	if err != nil || !bytes.Contains(content, moduleBytes(t)) {
		t.Errorf("the layer has %d bytes without the module, %v", len(content), err)
	}
	again, printedAgain := moduleImage(t)
	if out, err := exec.Command("diff", "-r", dir, again).CombinedOutput(); err != nil || printed != printedAgain {
		t.Errorf("two runs differ: %q %q %s", printed, printedAgain, out)
	}
}

func TestPushedModuleImageKeepsSessions(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "examples", scenario.WithExample("split"), scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys),
		scenario.WithIstioAgent())
	shift(t, s, "checkout", 50, 50)
	images := registry.Start(t, rig.Env)
	dir, digest := moduleImage(t)
	reference := images.Addr + "/mooring:1"
	crane := func(args ...string) string {
		out, err := exec.Command(rig.Env.Program("crane"), args...).Output()
		if err != nil {
			t.Fatalf("crane %v: %v", args, err)
		}
		return strings.TrimSpace(string(out))
	}
	if pushed := crane("push", "--insecure", dir, reference); !strings.HasSuffix(pushed, "@"+digest) {
		t.Errorf("crane push printed %q, expected the digest %s", pushed, digest)
	}
	if got := crane("digest", "--insecure", reference); got != digest {
		t.Errorf("crane digest printed %q, but mooring image %q", got, digest)
	}
	s.Mooring.Deploy(t, "--wasm", images.URL("mooring:1"), "--wasm-sha256", digest)
	expectSessions(t, "/checkout/", func(t testing.TB) *traffic.Client { return s.Gateway(t, "shop").ClientForHost(t, "shop.example") })
}

// The files of a release are played: the archive has the command under test, and the module is the one under test.
func TestInstallPage(t *testing.T) {
	t.Parallel()
	page := rig.Env.RepositoryFile("docs/install.md")
	images := registry.Start(t, rig.Env)
	shell := readme.NewShell(t, rig.Env, "/dev/null")
	shell.Replace("registry.example", images.Addr)

	release := t.TempDir()
	shell.Program("curl", "#!/bin/sh\nfor url; do case $url in http*) cp "+release+"/${url##*/} . ;; esac; done\n")
	script := `archive=mooring-0.1.0-$(uname -m)-unknown-linux-musl.tar.gz
cp "$MOORING_WASM" mooring-0.1.0.wasm
tar --create --gzip --file "$archive" --directory "$(dirname "$MOORING")" ./mooring
sha256sum -- * > SHA256SUMS
mkdir layout && printf '\177ELF\2\1\1' > program && head -c 11 /dev/zero >> program && printf '\76' >> program && head -c 101 /dev/zero >> program
"$MOORING" image --command program --output-dir layout/image >/dev/null
tar --create --file "$WORK/mooring-0.1.0-command-image.tar" --directory layout/image .
rm -r layout program`
	pack := exec.Command("bash", "-euc", script)
	pack.Dir, pack.Env = release, append(os.Environ(), "MOORING="+rig.Env.Mooring, "MOORING_WASM="+rig.Env.Module, "WORK="+shell.Dir())
	if out, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	sections := []string{"The command", "Completions and man pages", "The module as an image", "Push with crane", "The command as an image"}
	// Not among the tools of the rig: run where they are installed. Unlike crane, they must be told that the registry has no TLS.
	for tool, plain := range map[string]string{
		"oras":   `case $1 in cp) set -- "$@" --to-plain-http ;; *) set -- "$@" --plain-http ;; esac`,
		"skopeo": `case $1 in copy) set -- "$@" --dest-tls-verify=false ;; *) set -- "$@" --tls-verify=false ;; esac`,
	} {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Logf("%s is not installed: its section is not run", tool)
			continue
		}
		shell.Program(tool, "#!/bin/sh\n"+plain+"\nexec "+path+` "$@"`+"\n")
		sections = append(sections, "Push with "+tool)
	}
	commands, err := readme.SectionCommands(page, sections...)
	if err != nil {
		t.Fatal(err)
	}
	shell.Run(commands)
	if bytes, err := os.ReadFile(filepath.Join(shell.Dir(), "mooring.yaml")); err != nil || !strings.Contains(string(bytes), "kind: WasmPlugin") {
		t.Errorf("mooring.yaml: %v\n%s", err, bytes)
	}
}
