//go:build mesh

package scenarios

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/readme"
	"mooring.dev/tests/mesh/internal/scenario"
)

// The Telemetries of docs/access-log.md, on a Gateway with sessions.
func TestAccessLogOfAGateway(t *testing.T) {
	t.Parallel()
	files, err := readme.Files(rig.Env.RepositoryFile("docs/access-log.md"))
	if err != nil {
		t.Fatal(err)
	}
	if files["mesh-config.yaml"] != cluster.AccessLogProviders {
		t.Errorf("istiod does not run with the providers of the page:\n%s", files["mesh-config.yaml"])
	}
	telemetry := func(file string) string {
		return strings.ReplaceAll(files[file], "name: front", "name: gateway-sp-demo")
	}
	s := rig.Start(t, "sp-demo", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	s.ApplyFile(t, "policies/xbackendtrafficpolicy.yaml")
	s.Mooring.Deploy(t, "--access-log")
	s.Apply(t, telemetry("telemetry.yaml"))
	// The rig takes what is named after Mooring in a listener for Mooring's own, and waits until it is gone.
	t.Cleanup(func() { s.Delete(t, "telemetry.istio.io/v1", "Telemetry", "access-log") })
	gateway := s.Gateway(t, "gateway-sp-demo")
	gateway.Envoy.AwaitListener(t, "wasm.mooring:PLAIN")

	client := gateway.Client(t)
	first := client.Get(t, "/first")
	client.Get(t, "/second")
	decision := fmt.Sprintf("rule=HTTPRoute/%s/sp-demo#0;reason=%%s;backend=sp-demo.%[1]s:80;session=%%s;age=%%s", s.Namespace)
	awaitLine(t, gateway, "GET /first", fmt.Sprintf(decision, "single", "new", "-")+"$")
	awaitLine(t, gateway, "GET /second", fmt.Sprintf(decision, "session", "resumed", "[0-9]+")+"$")

	// Only the request that moves the session is logged then, in JSON.
	s.Apply(t, telemetry("moved-sessions.yaml"))
	gateway.Envoy.AwaitListener(t, "session=(moved|ended|")
	client.Get(t, "/third")
	s.Pods.Remove(t, first.Pod)
	moved := client.Get(t, "/fourth")
	client.Get(t, "/fifth")
	line := awaitLine(t, gateway, `"path":"/fourth"`, fmt.Sprintf(decision, "session", "moved", "[0-9]+"))
	var fields map[string]any
	if err := json.Unmarshal([]byte(line), &fields); err != nil || fields["code"] != 200.0 && fields["code"] != "200" {
		t.Errorf("%v: %s", err, line)
	}
	if moved.Pod == first.Pod || !strings.HasPrefix(fmt.Sprint(fields["cluster"]), "outbound|80||sp-demo.") {
		t.Errorf("pod %q: %s", moved.Pod, line)
	}
	for _, path := range []string{"/third", "/fifth"} {
		if strings.Contains(gateway.Envoy.Process.Log(), path) {
			t.Errorf("%s is logged, although its session did not move", path)
		}
	}
}

// awaitLine waits for the line of the access log that contains a text, and returns it. The line must match the expression.
func awaitLine(t *testing.T, gateway *gateway.Gateway, text, expression string) (line string) {
	t.Helper()
	gateway.Envoy.Await(t, "the access log has a line with "+text, func() error {
		for _, logged := range strings.Split(gateway.Envoy.Process.Log(), "\n") {
			if strings.Contains(logged, text) {
				line = logged
				return nil
			}
		}
		return fmt.Errorf("there is none")
	})
	if !regexp.MustCompile(expression).MatchString(line) {
		t.Errorf("%s is not in %s", expression, line)
	}
	return line
}
