//go:build mesh

package scenarios

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/mooring"
	"mooring.dev/tests/mesh/internal/readme"
)

// migrateBase is what the files of the pages refer to.
const migrateBase = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web}
spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
{apiVersion: v1, kind: Service, metadata: {name: shop}, spec: {ports: [{name: http, port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: shop-v1}, spec: {ports: [{name: http, port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: shop-v2}, spec: {ports: [{name: http, port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: old-proxy}, spec: {ports: [{name: http, port: 80}]}}
`

// Every file that the pages show is YAML. Those for Mooring are accepted by the API server, by `mooring validate`, which reports the
// session that the page promises, and by `mooring generate`.
func TestFilesOfMigrationPages(t *testing.T) {
	t.Parallel()
	const tokenStays = "the session token of the rule HTTPRoute/default/shop/shop stays in the requests"
	for _, c := range []struct {
		page    string
		files   []string
		session string // fields of the row of `mooring validate`
		warning string // the only one
	}{
		{"README", []string{"session.yaml", "old-proxy.yaml"}, "cookie shop-session unlimited unlimited", tokenStays},
		{"envoy-gateway", []string{"after.yaml"}, "cookie shop-session 1h 20m", ""},
		{"traefik", []string{"after.yaml"}, "cookie shop-session 24h unlimited", ""},
		{"traefik", []string{"old-proxy.yaml"}, "cookie shop-session 24h unlimited", tokenStays},
		{"haproxy", []string{"after.yaml"}, "cookie shop-session 8h 30m", ""},
		// The policy of after.yaml is kept.
		{"haproxy", []string{"after.yaml#policy", "old-proxy.yaml"}, "cookie shop-session 8h 30m", tokenStays},
	} {
		t.Run(c.page+" "+strings.Join(c.files, " "), func(t *testing.T) {
			t.Parallel()
			files, err := readme.Files(rig.Env.RepositoryFile("docs/migrate/" + c.page + ".md"))
			if err != nil {
				t.Fatal(err)
			}
			for name, text := range files {
				if _, err := kube.ReadYAML(strings.NewReader(text)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			input := migrateBase
			for _, name := range c.files {
				name, onlyPolicy := strings.CutSuffix(name, "#policy")
				text := files[name]
				if onlyPolicy {
					_, text, _ = strings.Cut(text, "\n---\n")
				}
				checkTypes(t, name, text)
				input += "---\n" + text + "\n"
			}
			validate := run(t, input, "validate", "-f", "-")
			if !strings.Contains(strings.Join(strings.Fields(validate), " "), "HTTPRoute/default/shop/shop default/web "+c.session) {
				t.Errorf("no session %q: %s", c.session, validate)
			}
			generated := run(t, input, "generate", "-f", "-", "--wasm", "oci://registry.example/mooring@sha256:"+strings.Repeat("0", 64))
			if !strings.Contains(generated, "shop-session") || strings.Count(generated, "kind: WasmPlugin") != 1 {
				t.Errorf("generated: %s", generated)
			}
			warnings := strings.Count(generated, "\nwarning[") + strings.Count(generated, "\nerror[")
			if c.warning == "" && warnings > 0 || c.warning != "" && (warnings != 1 || !strings.Contains(generated, c.warning)) {
				t.Errorf("expected the warning %q: %s", c.warning, generated)
			}
		})
	}
}

// run runs the command on this input, and returns what it prints to both of its outputs. The exit code must be 0.
func run(t *testing.T, input string, args ...string) string {
	t.Helper()
	stdout, stderr, code, err := mooring.Command{Stdin: []byte(input)}.Run(rig.Env, args...)
	if err != nil || code != 0 {
		t.Fatalf("mooring %q: exit code %d, %v\n%s%s", args, code, err, stdout, stderr)
	}
	return stdout + "\n" + stderr
}

// checkTypes fails unless the API server accepts the objects of a file.
func checkTypes(t *testing.T, name, text string) {
	t.Helper()
	for i, document := range strings.Split(text, "\n---\n") {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(document), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := rig.CheckCreate(t, cluster.GatewayAPI15, file); err != nil {
			t.Errorf("%s, document %d: %v", name, i+1, err)
		}
	}
}
