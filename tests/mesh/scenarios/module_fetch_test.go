//go:build mesh

package scenarios

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/registry"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// Gateways that fetch the module, by Istio's own agent and from a real registry. docs/failure-modes.md describes the results.

// moduleBytes returns the module under test.
func moduleBytes(t testing.TB) []byte {
	t.Helper()
	module, err := os.ReadFile(rig.Env.Module)
	if err != nil {
		t.Fatal(err)
	}
	return module
}

// pushModule pushes the module under test as an image, and returns its URL and digest.
func pushModule(t testing.TB, to *registry.Server, repositoryAndTag string, form registry.Form) (url, digest string) {
	t.Helper()
	image, err := registry.Image(moduleBytes(t), form)
	if err != nil {
		t.Fatal(err)
	}
	return to.Push(t, repositoryAndTag, image)
}

// pushIndex pushes an index of an image with the module under test.
func pushIndex(t testing.TB, to *registry.Server, repositoryAndTag string) (url, digest string) {
	t.Helper()
	image, err := registry.Image(moduleBytes(t), registry.OCI)
	if err != nil {
		t.Fatal(err)
	}
	return to.Push(t, repositoryAndTag, registry.Index(image))
}

// byDigest returns the URL of an image with its digest instead of its tag.
func byDigest(url, digest string) string {
	return url[:strings.LastIndex(url, ":")] + "@sha256:" + digest
}

// Each way to publish the module that Istio's agent accepts. The gateway goes from one to the next under load, and no session moves.
func TestFetchedModuleKeepsSessions(t *testing.T) {
	t.Parallel()
	images := registry.Start(t, rig.Env)
	s := rig.Start(t, "examples", scenario.WithExample("split"), scenario.WithUniqueNamespace(), scenario.WithIstioAgent(),
		scenario.WithGatewayEnv(keys, "SSL_CERT_FILE="+images.CAFile))
	shift(t, s, "checkout", 50, 50)
	url, digest := pushModule(t, images, "mooring:1", registry.OCI)
	s.Mooring.Deploy(t, "--wasm", url, "--wasm-sha256", digest)
	newClient := func(t testing.TB) *traffic.Client { return s.Gateway(t, "shop").ClientForHost(t, "shop.example") }
	expectSessions(t, "/checkout/", newClient)

	dockerURL, dockerDigest := pushModule(t, images, "docker:1", registry.Docker)
	artifactURL, artifactDigest := pushModule(t, images, "artifact:1", registry.Artifact)
	indexURL, _ := pushIndex(t, images, "index:1")
	http, https := images.PutFile("mooring.wasm", moduleBytes(t))
	file := registry.SHA256(moduleBytes(t))
	load := startLoad(t, newClient, "/checkout/")
	for what, args := range map[string][]string{
		"oci:// by digest":          {byDigest(url, digest)},
		"oci:// by tag":             {url},
		"oci:// as Docker builds":   {dockerURL, "--wasm-sha256", dockerDigest},
		"oci:// as an artifact":     {artifactURL, "--wasm-sha256", artifactDigest},
		"oci:// index":              {indexURL},
		"http://":                   {http},
		"http:// with a checksum":   {http, "--wasm-sha256", file},
		"https:// with a checksum":  {https, "--wasm-sha256", file},
		"oci:// with a pull policy": {url, "--image-pull-policy", "Always", "--plugin-phase", "AUTHZ", "--plugin-priority", "10"},
	} {
		seen := load.During(t, what, loadSize, func() { s.Mooring.Deploy(t, append([]string{"--wasm"}, args...)...) })
		expectNothingLost(t, what, seen)
	}
	t.Log(load.Stop())
	keepsForeignLabels(t, s, "--wasm", url, "--wasm-sha256", digest)
}

// keepsForeignLabels deploys with a label and an annotation beside the label of a GitOps tool.
func keepsForeignLabels(t *testing.T, s *scenario.Scenario, args ...string) {
	t.Helper()
	for _, obj := range s.Mooring.Generated() {
		s.PatchJSONAs(t, "argocd-controller", obj.GetAPIVersion(), obj.GetKind(), obj.GetName(),
			`[{"op":"add","path":"/metadata/labels/app.kubernetes.io~1instance","value":"sessions"}]`)
	}
	s.Mooring.Deploy(t, append(args, "--label", "team=shop", "--annotation", "argocd.argoproj.io/sync-wave=5")...)
	for _, obj := range s.Mooring.Generated() {
		now := s.Get(t, obj.GetAPIVersion(), obj.GetKind(), obj.GetName())
		labels, annotations := now.GetLabels(), now.GetAnnotations()
		if labels["app.kubernetes.io/instance"] != "sessions" || labels["team"] != "shop" ||
			labels["app.kubernetes.io/managed-by"] != "mooring" || annotations["argocd.argoproj.io/sync-wave"] != "5" {
			t.Errorf("%s: labels %v, annotations %v", kube.Describe(obj), labels, annotations)
		}
	}
}

// fetching is a gateway that fetches the module with a fail strategy.
type fetching struct {
	s        *scenario.Scenario
	gateway  *gateway.Gateway
	images   *registry.Server
	strategy string
	good     []string // the flags for a module that can be fetched
	nudges   int
}

func startFetching(t *testing.T, strategy string, opts ...scenario.Option) *fetching {
	t.Helper()
	s := rig.Start(t, "sp-demo", append(opts, scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys), scenario.WithIstioAgent())...)
	s.ApplyFile(t, "policies/xbackendtrafficpolicy.yaml")
	s.ApplyFile(t, "routes/plain.yaml")
	f := &fetching{s: s, gateway: s.Gateway(t, "gateway-sp-demo"), images: registry.Start(t, rig.Env), strategy: strategy}
	url, digest := pushModule(t, f.images, "mooring:1", registry.OCI)
	f.good = []string{"--wasm", url, "--wasm-sha256", digest}
	return f
}

func (f *fetching) deploy(t testing.TB, args ...string) {
	t.Helper()
	f.s.Mooring.DeployWithoutWaiting(t, append(args, "--fail-strategy", f.strategy)...)
}

// substitute is the filter that the agent puts in place of the module, and what clients get from it.
func (f *fetching) substitute() (filter, responses string) {
	if f.strategy == "open" {
		return "wasm-default-allow", "200 without sessions"
	}
	return "wasm-default-deny", "403"
}

// expectFailure calls do, after which the agent cannot fetch the module. The agent must log this text, and clients must get what the fail
// strategy says.
func (f *fetching) expectFailure(t *testing.T, what, logged string, do func()) {
	t.Helper()
	log := len(f.gateway.Envoy.Process.Log())
	do()
	wait.Eventually(t, what+": the agent gives up", func() error {
		if !strings.Contains(f.gateway.Envoy.Process.Log()[log:], logged) {
			return fmt.Errorf("its log has no %q", logged)
		}
		return nil
	})
	filter, want := f.substitute()
	f.gateway.Envoy.AwaitDump(t, "ecds_filters", filter)
	f.gateway.Envoy.AwaitListener(t, "mooring")
	f.expectResponses(t, what, want)
}

func (f *fetching) expectResponses(t *testing.T, what, want string) {
	t.Helper()
	got := observedResponses(t, f.gateway)
	t.Logf("%s, fail strategy %s: %s", what, f.strategy, got)
	if got != want {
		t.Errorf("%s, fail strategy %s: %s, expected %s", what, f.strategy, got, want)
	}
	plain := f.gateway.Client(t)
	plain.Host = "plain.example"
	if status := plain.Get(t, "/").Status; status != 200 {
		t.Errorf("%s: a route without a rule: status %d", what, status)
	}
}

// nudge changes an annotation of the plugin, after which the agent fetches again what it does not have.
func (f *fetching) nudge(t testing.TB) {
	t.Helper()
	f.nudges++
	for _, obj := range f.s.Mooring.Generated() {
		if obj.GetKind() == "WasmPlugin" {
			f.s.Patch(t, obj.GetAPIVersion(), obj.GetKind(), obj.GetName(),
				fmt.Sprintf(`{"metadata":{"annotations":{"example.com/fetch":"%d"}}}`, f.nudges))
		}
	}
}

// awaitSessions waits until the gateway has the module. It nudges, because a failing attempt that a change in another scenario has
// started may end after the repair, and the agent then forgets the module.
func (f *fetching) awaitSessions(t *testing.T, what string) {
	t.Helper()
	checks := 0
	wait.Eventually(t, what+": the gateway has the module", func() error {
		if checks++; checks%20 == 0 {
			f.nudge(t)
		}
		if strings.Contains(f.gateway.Envoy.Admin(t, "/config_dump?resource=ecds_filters"), "wasm-default") {
			return errors.New("it has a substitute")
		}
		if got := observedResponses(t, f.gateway); got != "200 with sessions" {
			return errors.New(got)
		}
		return nil
	})
}

func (f *fetching) repair(t *testing.T, what string) {
	t.Helper()
	f.deploy(t, f.good...)
	f.awaitSessions(t, what)
}

// The module cannot be fetched: for each fail strategy, what clients get at the installation, in an update, and after the repair.
func TestModuleThatCannotBeFetched(t *testing.T) {
	t.Parallel()
	for _, strategy := range strategies {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			f := startFetching(t, strategy)
			images := f.images
			update := func(what, logged string, args ...string) {
				t.Helper()
				f.expectFailure(t, what, logged, func() { f.deploy(t, append([]string{"--wasm"}, args...)...) })
			}
			update("missing image, at installation", "_UNKNOWN: ", images.URL("later:1"))
			pushModule(t, images, "later:1", registry.OCI)
			f.nudge(t)
			f.awaitSessions(t, "the image has been pushed, and the plugin has another annotation")

			nowhere := strings.Repeat("0", 64)
			url, _ := pushModule(t, images, "mooring:1", registry.OCI)
			update("wrong checksum, in an update", "which does not match: "+nowhere, url, "--wasm-sha256", nowhere)
			f.repair(t, "repaired")
			update("missing image, in an update", "_UNKNOWN: ", images.URL("missing:1"))
			index, digest := pushIndex(t, images, "index:1")
			update("the digest of an index as the checksum", "which does not match: "+digest, index, "--wasm-sha256", digest)
			update("the digest of an index in the URL", "which does not match: "+digest, byDigest(index, digest))
			cncf, digest := pushModule(t, images, "cncf:1", registry.CNCF)
			update("an image as CNCF specifies it", "invalid media type application/wasm", cncf, "--wasm-sha256", digest)
			misnamed, digest := pushModule(t, images, "misnamed:1", registry.Misnamed)
			update("a file with another name in the image", "plugin.wasm not found in the archive", misnamed, "--wasm-sha256", digest)
			http, https := images.PutFile("mooring.wasm", moduleBytes(t))
			update("http:// with a wrong checksum", "which does not match: "+nowhere, http, "--wasm-sha256", nowhere)
			update("http:// 404", "status code 404", http+"-missing")
			images.SetFault(registry.Credentials("mooring", "secret", "https://registry.example"))
			private, digest := pushModule(t, images, "private:1", registry.OCI)
			update("no credentials", "UNAUTHORIZED", private, "--wasm-sha256", digest)
			// The next ones take the agent seconds, because it tries again.
			images.SetFault(registry.Status(503))
			update("503", "503 Service Unavailable", images.URL("busy:1"))
			images.SetFault(nil)
			update("https:// with an unknown authority", "certificate signed by unknown authority", https)
			f.repair(t, "repaired")
		})
	}
}

// The registry fails while gateways run and start.
func TestRegistryThatFails(t *testing.T) {
	t.Parallel()
	for _, strategy := range strategies {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			f := startFetching(t, strategy)
			f.firstInstallationFromASlowRegistry(t)
			f.updateFromASlowRegistry(t)
			f.registryIsDown(t)
			f.startWithASlowRegistry(t)
		})
	}
}

// hold lets every request to the registry wait, and returns what ends that. awaitRequest waits for the first one.
func (f *fetching) hold(t testing.TB) (awaitRequest, release func()) {
	fault, let := registry.Hold()
	f.images.SetFault(fault)
	before := len(f.images.Requests(""))
	awaitRequest = func() {
		t.Helper()
		wait.Eventually(t, "the agent asks the registry", func() error { return atLeast(before+1, len(f.images.Requests(""))) })
	}
	return awaitRequest, func() {
		f.images.SetFault(nil)
		let()
	}
}

func (f *fetching) firstInstallationFromASlowRegistry(t *testing.T) {
	awaitRequest, release := f.hold(t)
	f.deploy(t, f.good...)
	awaitRequest()
	f.expectResponses(t, "slow registry, at installation, before the module is there", "200 without sessions")
	release()
	f.awaitSessions(t, "the registry has answered")
}

func (f *fetching) updateFromASlowRegistry(t *testing.T) {
	url, digest := pushModule(t, f.images, "next:1", registry.OCI)
	load := startLoad(t, f.gateway.Client, "/")
	seen := load.During(t, "slow registry, in an update, fail strategy "+f.strategy, 2*loadSize, func() {
		awaitRequest, release := f.hold(t)
		f.deploy(t, "--wasm", url, "--wasm-sha256", digest)
		awaitRequest()
		load.AwaitAllClients(t)
		release()
		f.gateway.Envoy.AwaitDump(t, "ecds_filters", digest+".wasm")
		load.AwaitAllClients(t)
	})
	expectNothingLost(t, "slow registry, in an update", seen)
	load.Stop()
}

// A gateway keeps a module that it has, also in an update of its configuration. One that starts has none, and gets it when it is told to
// fetch again.
func (f *fetching) registryIsDown(t *testing.T) {
	f.repair(t, "before the registry is down")
	f.images.Down()
	f.s.Patch(t, xGroup, "XBackendTrafficPolicy", "lb-policy", `{"spec":{"sessionPersistence":{"absoluteTimeout":"2h"}}}`)
	f.s.Mooring.Deploy(t, append(f.good, "--fail-strategy", f.strategy)...)
	f.expectResponses(t, "registry down, new configuration of the running gateway", "200 with sessions")
	f.expectFailure(t, "registry down, when the gateway starts", "connection refused", func() { f.gateway.Restart(t) })
	f.images.Up(t)
	f.nudge(t)
	f.awaitSessions(t, "the registry is up again, and the plugin has another annotation")
}

func (f *fetching) startWithASlowRegistry(t *testing.T) {
	awaitRequest, release := f.hold(t)
	f.gateway.RestartNotServing(t)
	awaitRequest()
	if f.gateway.Serves() == nil {
		t.Error("the gateway serves before it has the module")
	}
	release()
	if err := f.gateway.AwaitServing(); err != nil {
		t.Fatal(err)
	}
	f.expectResponses(t, "slow registry, when the gateway starts", "200 with sessions")
}
