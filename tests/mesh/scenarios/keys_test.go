//go:build mesh

package scenarios

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/readme"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// docs/keys.md: its commands with real programs, on Deployments that istiod, Helm and istioctl make.

const (
	keysPage      = "docs/keys.md"
	keysNamespace = "istio-ingress"
	publicGateway = "public-istio"
)

// A keysShell runs the commands of the page.
type keysShell struct {
	*readme.Shell
	t    *testing.T
	s    *scenario.Scenario
	rest []readme.Command // those that have not run yet

	first   readme.Command
	repeats bool // each part runs twice
}

// startKeys starts a shell with the files of the page. Nothing has been created yet.
func startKeys(t *testing.T) *keysShell {
	t.Helper()
	var s *scenario.Scenario
	t.Cleanup(func() { clean(t, s) }) // after the clean-up of the scenario, which needs the Gateway
	s = rig.Start(t, "keys", scenario.WithNamespace(keysNamespace), scenario.WithAmbientMesh())
	page := rig.Env.RepositoryFile(keysPage)
	files, err := readme.Files(page)
	if err != nil {
		t.Fatal(err)
	}
	commands, err := readme.Commands(page, "")
	if err != nil {
		t.Fatal(err)
	}
	shell := &keysShell{readme.NewShell(t, rig.Env, s.Cluster.Kubeconfig), t, s, commands, commands[0], false}
	shell.WriteFiles(files)
	return shell
}

// clean deletes what the commands have created. Namespaces stay, and other tests of the run may use them.
func clean(t *testing.T, s *scenario.Scenario) {
	if s == nil {
		return // the start has failed
	}
	const objects = "gateways.gateway.networking.k8s.io,deployments,replicasets,services,serviceaccounts,configmaps,secrets,hpa,pdb,roles,rolebindings"
	for _, arguments := range [][]string{
		{"delete", objects, "--all", "--namespace", keysNamespace, "--ignore-not-found", "--wait=false"},
		{"delete", "secrets", "--all", "--namespace", "istio-internal", "--ignore-not-found"},
		{"delete", "configmap", "gateway-defaults", "--namespace", "istio-system", "--ignore-not-found"},
	} {
		kubectl := exec.Command(rig.Env.Program("kubectl"), append(arguments, "--kubeconfig", s.Cluster.Kubeconfig)...)
		if output, err := kubectl.CombinedOutput(); err != nil {
			t.Logf("kubectl %s: %v\n%s", strings.Join(arguments, " "), err, output)
		}
	}
}

// upTo runs the commands of the page before the first one that contains the text, and returns that it did.
func (k *keysShell) upTo(text string) {
	k.t.Helper()
	before, rest, err := readme.Until(k.rest, text)
	if err != nil {
		k.t.Fatal(err)
	}
	k.Run(before)
	if k.repeats {
		k.Run(before)
	}
	k.rest = rest
}

// Every command of the page, while thirty clients keep their sessions over two gateways. What changes a ring runs twice.
func TestKeysPage(t *testing.T) {
	t.Parallel()
	k := startKeys(t)
	s := k.s

	k.upTo("kubectl apply -f gateway.yaml")
	expectSecondCreateRefused(t, k)
	k.repeats = true
	k.upTo("kubectl apply -f class.yaml")
	expectOwnVariables(t, s, publicGateway, "POD_NAME", "INSTANCE_IP", "PROXY_CONFIG", "CA_ADDR")
	s.Adopt(t, gatewayGroup, "Gateway", "public")
	s.Adopt(t, "apps/v1", "Deployment", publicGateway)
	s.Patch(t, "apps/v1", "Deployment", publicGateway, `{"spec":{"replicas":2}}`)
	s.Mooring.Deploy(t)
	rollouts := &rollouts{t: t, s: s, balancer: gateway.NewBalancer(s.Gateways(t, "public"))}
	k.Meanwhile = rollouts.follow

	k.upTo("helm upgrade")
	expectClassDefaults(t, s)
	rollouts.follow()
	charts := filepath.Join(rig.Env.CRDs("istio"), "manifests")
	k.Replace(
		" istio/gateway ", " "+filepath.Join(charts, "charts", "gateway")+" ",
		// It would replace the control plane that other scenarios use.
		"istioctl install --skip-confirmation -f istio-operator.yaml",
		"istioctl manifest generate -f istio-operator.yaml | kubectl apply -l app=istio-ingressgateway -f -",
		"kubectl -n istio-ingress exec deploy/public-istio -- pilot-agent request GET 'stats?",
		fmt.Sprintf("curl -s 'http://%s:15000/stats?", s.Gateway(t, "public").IP),
	)
	k.upTo("[ -e mooring.keys ]")
	playLocalEnvoy(t, k)
	k.repeats = false
	expectOwnVariables(t, s, "istio-ingressgateway", "POD_NAME", "CA_ADDR")
	expectOwnVariables(t, s, "istio-gateway")
	expectInjectedKeys(t, s, "istio-gateway", "router")
	k.upTo("--check")

	load := traffic.StartLoad(t, 30, "/", rollouts.balancer.Client)
	load.AwaitAllClients(t)
	rollouts.load = load
	for _, step := range []string{"--id 02", "--promote 02", "--remove 01"} {
		k.upTo(step)
		if step == "--remove 01" {
			// Three seconds of requests renew all tokens, which the page asks to wait for.
			load.Await(t, 30*5*3)
			load.AwaitAllClients(t)
		}
		if step == "--id 02" {
			k.Run([]readme.Command{{Text: "kubectl -n istio-ingress get secret mooring-keys -o json > earlier.json"}})
		}
		seen := load.During(t, "ring with "+step, 150, func() {
			k.twice()
			k.upToRolledOut()
		})
		if seen.Moves > 0 || seen.Failed > 0 {
			t.Errorf("%s: %d sessions moved, %d requests failed", step, seen.Moves, seen.Failed)
		}
	}
	expectNoneUnknown(t, s.Gateways(t, "public"))
	k.expectRefused("mooring keygen --ring earlier.json --id 09 | kubectl replace -f -", "(Conflict)")

	// Without the steps, a new ring ends the sessions: the load would notice.
	lost := load.During(t, "a leaked key", 150, func() { k.upTo("--secret istio-internal/mooring-keys") })
	if lost.Moves == 0 || lost.Failed > 0 {
		t.Errorf("a key is removed at once: %d sessions moved, %d requests failed", lost.Moves, lost.Failed)
	}
	rollouts.load = nil
	t.Log(load.Stop())
	if err := s.Cluster.CreateNamespace("istio-internal"); err != nil {
		t.Fatal(err)
	}
	k.twice()
	k.Run(k.rest)
	expectSameRing(t, s)
	expectRolloutByAnnotation(t, k, rollouts)
}

// expectRolloutByAnnotation fails unless the annotation in the ConfigMap reaches the pod template beside the one that kubectl has written,
// and is the sixth reason for a rollout: changes of the Secret alone are none.
func expectRolloutByAnnotation(t *testing.T, k *keysShell, r *rollouts) {
	t.Helper()
	k.Run([]readme.Command{{Text: `sed 's/mooring-keys: "01"/mooring-keys: "03"/' gateway.yaml | kubectl apply -f -`}})
	wait.Eventually(t, "istiod has written the annotation", func() error {
		_, annotations := variablesOf(t, k.s, publicGateway)
		if annotations["example.com/mooring-keys"] != "03" || annotations["kubectl.kubernetes.io/restartedAt"] == "" {
			return fmt.Errorf("the annotations are %v", annotations)
		}
		return nil
	})
	r.follow()
	if r.done != 6 {
		t.Errorf("%d rollouts: of the defaults of the class, of three steps, of the leaked key, and of the annotation", r.done)
	}
}

// rollouts plays the rollouts of the public gateway, whose clients open a connection to the next Envoy for each request.
type rollouts struct {
	t        *testing.T
	s        *scenario.Scenario
	balancer *gateway.Balancer
	load     *traffic.Load // of these clients, if any
	done     int
}

func (r *rollouts) follow() { r.s.Rollout(r.t, publicGateway, r.move) }

// move replaces one Envoy at a time. In between, all clients send requests to old and new ones.
func (r *rollouts) move(started, outdated []*gateway.Gateway) {
	r.done++
	for i := range outdated {
		r.balancer.Add(started[i])
		r.balancer.Remove(r.t, outdated[i])
		if r.load != nil {
			r.load.AwaitAllClients(r.t)
		}
	}
}

// twice runs the next command two times.
func (k *keysShell) twice() {
	k.t.Helper()
	k.Run(k.rest[:1])
	k.Run(k.rest[:1])
	k.rest = k.rest[1:]
}

// upToRolledOut runs the commands up to the end of the next rollout.
func (k *keysShell) upToRolledOut() {
	k.t.Helper()
	k.upTo("rollout status")
	k.Run(k.rest[:1])
	k.rest = k.rest[1:]
}

// expectRefused fails unless the API server refuses what a command sends, for this reason.
func (k *keysShell) expectRefused(command, reason string) {
	k.t.Helper()
	text := fmt.Sprintf("if %s 2> refused; then false; else grep -oF %q refused; fi", command, reason)
	k.Run([]readme.Command{{Text: text, Output: []string{reason}}})
}

// expectSecondCreateRefused fails unless the page's first command, run again, leaves the ring as it is.
func expectSecondCreateRefused(t *testing.T, k *keysShell) {
	t.Helper()
	before := ringOf(t, k.s, keysNamespace)
	k.expectRefused(k.first.Text, "(AlreadyExists)")
	if ringOf(t, k.s, keysNamespace) != before {
		t.Error("a second kubectl create has changed the ring")
	}
}

func ringOf(t *testing.T, s *scenario.Scenario, namespace string) string {
	t.Helper()
	data, _ := s.Get(t, "v1", "Secret", namespace+"/mooring-keys").Object["data"].(map[string]any)
	ring, _ := data["MOORING_KEYS"].(string)
	if ring == "" {
		t.Fatalf("no ring in the namespace %s", namespace)
	}
	return ring
}

func expectSameRing(t *testing.T, s *scenario.Scenario) {
	t.Helper()
	if ringOf(t, s, "istio-internal") != ringOf(t, s, keysNamespace) {
		t.Error("the copy is another ring")
	}
}

// variablesOf returns the variables of the container istio-proxy of a Deployment in the cluster, and the annotations of its pods.
func variablesOf(t *testing.T, s *scenario.Scenario, deployment string) (map[string]corev1.EnvVar, map[string]string) {
	t.Helper()
	var d appsv1.Deployment
	if err := kube.Into(s.Get(t, "apps/v1", "Deployment", deployment), &d); err != nil {
		t.Fatal(err)
	}
	variables := map[string]corev1.EnvVar{}
	for _, container := range d.Spec.Template.Spec.Containers {
		if container.Name == "istio-proxy" {
			for _, variable := range container.Env {
				variables[variable.Name] = variable
			}
		}
	}
	return variables, d.Spec.Template.Annotations
}

// expectOwnVariables fails unless a Deployment has kept what its maker writes, beside the keys, and has the annotation of the page.
func expectOwnVariables(t *testing.T, s *scenario.Scenario, deployment string, names ...string) {
	t.Helper()
	variables, annotations := variablesOf(t, s, deployment)
	for _, name := range append(names, "MOORING_KEYS") {
		if _, ok := variables[name]; !ok {
			t.Errorf("%s: no %s among %d variables", deployment, name, len(variables))
		}
	}
	if annotations["example.com/mooring-keys"] != "01" {
		t.Errorf("%s: the annotations are %v", deployment, annotations)
	}
}

// expectClassDefaults fails unless istiod gives the optional variable to a Gateway that names no ConfigMap, and merges it with the ConfigMap
// of the other.
func expectClassDefaults(t *testing.T, s *scenario.Scenario) {
	t.Helper()
	other := kube.Ref(gatewayGroup, "Gateway", s.Namespace, "other")
	other.Object["spec"] = map[string]any{
		"gatewayClassName": "istio",
		"listeners":        []any{map[string]any{"name": "http", "port": int64(80), "protocol": "HTTP"}},
	}
	if _, err := s.Cluster.Kube.Apply(other); err != nil {
		t.Fatal(err)
	}
	wait.Eventually(t, "istiod deploys a Gateway with the defaults of its class", func() error {
		if _, err := s.Cluster.Kube.Get(appsv1.SchemeGroupVersion.WithKind("Deployment"), s.Namespace, "other-istio"); err != nil {
			return err
		}
		for _, deployment := range []string{"other-istio", publicGateway} {
			variables, _ := variablesOf(t, s, deployment)
			source := variables["MOORING_KEYS"].ValueFrom
			if source == nil || source.SecretKeyRef == nil || source.SecretKeyRef.Optional == nil || !*source.SecretKeyRef.Optional {
				return fmt.Errorf("MOORING_KEYS of %s is %v", deployment, variables["MOORING_KEYS"])
			}
		}
		return nil
	})
}

// playLocalEnvoy gives the shell Envoy, and its configuration by the command.
func playLocalEnvoy(t *testing.T, k *keysShell) {
	t.Helper()
	k.Program("envoy", fmt.Sprintf("#!/bin/sh\nexec %q --use-dynamic-base-id --log-level error \"$@\"\n", rig.Env.Envoy))
	k.Run([]readme.Command{{Text: fmt.Sprintf("mooring generate -f examples/split --target envoy --wasm %q > envoy.yaml 2> findings", rig.Env.Module)}})
}

// expectNoneUnknown fails if a gateway has refused a token because of its key. Each Envoy has counted since its last replacement.
func expectNoneUnknown(t *testing.T, gateways []*gateway.Gateway) {
	t.Helper()
	for _, g := range gateways {
		resumed := g.Envoy.Stat(t, "wasmcustom.mooring_session_resumed_total")
		unknown, err := g.Envoy.Stats("mooring_token_rejected_(unknown_key|foreign)_total")
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d sessions resumed, rejected %v", g, resumed, unknown)
		for name, n := range unknown {
			if n > 0 {
				t.Errorf("%s: %s is %d", g, name, n)
			}
		}
		if resumed == 0 {
			t.Errorf("%s has resumed no session", g)
		}
	}
}
