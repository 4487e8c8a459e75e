// Package cluster runs control planes: etcd, kube-apiserver and istiod as real processes, without controllers, scheduler and
// kubelet.
package cluster

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"mooring.dev/tests/mesh/internal/hbone"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/process"
	"mooring.dev/tests/mesh/internal/testenv"
	"mooring.dev/tests/mesh/internal/wait"
)

const (
	token = "mesh-rig"
	// IstioVersion is the version that gateways report; istiod picks features by it.
	IstioVersion = "1.31.0"
	// RootNamespace is where objects apply to all namespaces.
	RootNamespace = "istio-system"
	// XDSPort is where istiod serves configuration, without TLS.
	XDSPort = 15010
	// SecureXDSPort is where istiod serves configuration to Istio's agents, with TLS on both sides.
	SecureXDSPort = 15012
)

// A Cluster is one control plane. The rig plays what controllers and kubelets do: a scenario for its own objects, a
// conformance.Follower for all objects.
type Cluster struct {
	GatewayAPI string // the Gateway API release whose definitions are installed
	Kubeconfig string
	IP         string // of all parts
	Dir        string // logs and data
	Kube       *kube.Client
	Namespaces Lock
	Ambient    bool             // istiod knows the ambient mesh
	Deploys    bool             // istiod writes the Deployments and Services of Gateways
	Authority  *hbone.Authority // of the certificates of proxies, and of pods that accept tunnels

	Etcd, APIServer, Istiod *process.Process

	env       *testenv.Env
	exclusive bool
	starting  sync.Once
	failed    error // the error of the start
}

// A Pool starts control planes on demand and keeps them until the end of the run. It is safe for concurrent use.
type Pool struct {
	env *testenv.Env

	mu     sync.Mutex
	byName map[string]*Cluster

	start sync.Mutex // held during a start
}

// NewPool returns a pool without control planes.
func NewPool(env *testenv.Env) *Pool {
	return &Pool{env: env, byName: map[string]*Cluster{}}
}

// Get returns the running control plane that all scenarios on a Gateway API release share, and starts it the first time.
func (p *Pool) Get(release string) (*Cluster, error) {
	return p.get("gateway-api-"+release, &Cluster{GatewayAPI: release})
}

// GetExclusive returns a control plane for one user, and starts it the first time. Its istiod authenticates gateways, as it must
// before it gives them certificates, and accepts routes and listeners of a Gateway from other namespaces.
func (p *Pool) GetExclusive(name, release string) (*Cluster, error) {
	return p.get(name, &Cluster{GatewayAPI: release, exclusive: true})
}

// GetAmbient returns the running control plane that all scenarios of the ambient mesh share, and starts it the first time. It is not that of
// other scenarios, because the proxies of an ambient mesh wait for certificates.
func (p *Pool) GetAmbient(release string) (*Cluster, error) {
	return p.get("ambient-"+release, &Cluster{GatewayAPI: release, Ambient: true})
}

// GetOwn returns a control plane like the shared one for one user, and starts it the first time.
func (p *Pool) GetOwn(name, release string) (*Cluster, error) {
	return p.get(name, &Cluster{GatewayAPI: release})
}

// GetDeploying returns a control plane for one user, whose istiod deploys Gateways itself, and starts it the first time.
func (p *Pool) GetDeploying(name, release string) (*Cluster, error) {
	return p.get(name, &Cluster{GatewayAPI: release, Deploys: true})
}

func (p *Pool) get(name string, settings *Cluster) (*Cluster, error) {
	p.mu.Lock()
	c := p.byName[name]
	if c == nil {
		c = settings
		c.env, c.Dir = p.env, filepath.Join(p.env.StateDir, name)
		// Each has its own address, so that all of them use the usual ports.
		c.IP = fmt.Sprintf("10.245.0.%d", len(p.byName)+1)
		p.byName[name] = c
	}
	p.mu.Unlock()
	c.starting.Do(func() {
		// One after the other: a start uses the whole machine, and scenarios on the first need not wait for the last.
		p.start.Lock()
		defer p.start.Unlock()
		if err := c.run(); err != nil {
			c.failed = fmt.Errorf("control plane %s: %w\n%s", name, err, c.Logs())
		}
	})
	return c, c.failed
}

// AuthenticatesGateways reports whether istiod requires a token from gateways.
func (c *Cluster) AuthenticatesGateways() bool { return c.exclusive }

func (c *Cluster) run() error {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return err
	}
	steps := []func() error{c.createAuthority, c.startEtcd, c.startAPIServer, c.installCRDs, c.startIstiod}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) createAuthority() (err error) {
	c.Authority, err = hbone.NewAuthority()
	return err
}

func (c *Cluster) startEtcd() (err error) {
	client, peer := "http://"+c.IP+":2379", "http://"+c.IP+":2380"
	c.Etcd, err = c.env.Processes.Start(c.Dir, "etcd", []string{c.env.Program("etcd"),
		"--name=mesh", "--data-dir=" + filepath.Join(c.Dir, "etcd"),
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=mesh=" + peer})
	if err != nil {
		return err
	}
	return c.awaitEtcd()
}

func (c *Cluster) awaitEtcd() error {
	return c.awaitOK(c.Etcd, http.DefaultClient, "http://"+c.IP+":2379/health")
}

func (c *Cluster) startAPIServer() (err error) {
	key := filepath.Join(c.Dir, "service-account.pem")
	tokens := filepath.Join(c.Dir, "tokens.csv")
	c.Kubeconfig = filepath.Join(c.Dir, "kubeconfig")
	if err := writeRSAKey(key); err != nil {
		return err
	}
	if err := os.WriteFile(tokens, []byte(token+",admin,admin,system:masters\n"), 0o600); err != nil {
		return err
	}
	if _, err := c.WriteKubeconfig(c.Kubeconfig, token); err != nil {
		return err
	}
	if c.Kube, err = kube.NewClient(c.server(), token); err != nil {
		return err
	}
	c.APIServer, err = c.env.Processes.Start(c.Dir, "kube-apiserver", []string{c.env.Program("kube-apiserver"),
		"--etcd-servers=http://" + c.IP + ":2379",
		"--bind-address=" + c.IP, "--secure-port=6443", "--cert-dir=" + filepath.Join(c.Dir, "certs"),
		"--token-auth-file=" + tokens, "--authorization-mode=RBAC",
		"--service-account-key-file=" + key, "--service-account-signing-key-file=" + key,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-cluster-ip-range=10.96.0.0/16",
		// It would hold back every Pod until a controller, which does not run here, has made its account.
		"--disable-admission-plugins=ServiceAccount"})
	if err != nil {
		return err
	}
	err = c.awaitAPIServer()
	// It exits if one of its own start-up steps takes a minute on a busy machine; a kubelet would start it again.
	for tries := 1; tries < 3 && c.APIServer.Exited() != nil; tries++ {
		if err = c.APIServer.Start(); err == nil {
			err = c.awaitAPIServer()
		}
	}
	return err
}

func (c *Cluster) server() string { return "https://" + c.IP + ":6443" }

// AdminToken returns the token of a user who may do everything.
func (c *Cluster) AdminToken() string { return token }

// WriteKubeconfig writes a kubeconfig for clients that present this token, and returns the file.
func (c *Cluster) WriteKubeconfig(file, token string) (string, error) {
	return file, os.WriteFile(file, []byte(fmt.Sprintf(kubeconfig, c.server(), token)), 0o600)
}

func (c *Cluster) awaitAPIServer() error {
	client, err := rest.HTTPClientFor(c.Kube.Config)
	if err != nil {
		return err
	}
	return c.awaitOK(c.APIServer, client, c.Kube.Config.Host+"/readyz")
}

func (c *Cluster) startIstiod() (err error) {
	if err := c.CreateNamespace(RootNamespace); err != nil {
		return err
	}
	// Until istiod knows the Sidecar resource of a pod, its sidecar must not listen on the ports of all Services.
	sidecar := kube.Ref("networking.istio.io/v1", "Sidecar", RootNamespace, "default")
	sidecar.Object["spec"] = map[string]any{"egress": []any{map[string]any{"hosts": []any{"~/*"}}}}
	if _, err := c.Kube.Apply(sidecar); err != nil {
		return err
	}
	if c.Ambient {
		if err := c.adaptWaypoints(); err != nil {
			return err
		}
	}
	if c.Ambient || c.Deploys {
		if err := c.installInjector(); err != nil {
			return err
		}
	}
	certificates, err := c.writeCertificate()
	if err != nil {
		return err
	}
	mesh := filepath.Join(c.Dir, "mesh.yaml")
	if err := os.WriteFile(mesh, []byte(meshConfig), 0o644); err != nil {
		return err
	}
	env := []string{
		"POD_NAMESPACE=" + RootNamespace, "POD_NAME=istiod",
		"PILOT_ENABLE_ALPHA_GATEWAY_API=true",
		"ENABLE_LEADER_ELECTION=false",
		// Certificates come from files.
		"PILOT_CERT_PROVIDER=none",
		// These two filters are in Istio's own build of Envoy only.
		"PILOT_ENABLE_METADATA_EXCHANGE=false", "PILOT_ENABLE_ALPN_FILTER=false",
	}
	if c.exclusive {
		env = append(env, "XDS_AUTH_PLAINTEXT=true")
	} else {
		// A Gateway of one scenario must not apply to the gateways of another that runs at the same time.
		env = append(env, "PILOT_SCOPE_GATEWAY_TO_NAMESPACE=true")
	}
	if c.Ambient {
		// The second is for several networks, and needs a factory of Istio's own build.
		env = append(env, "PILOT_ENABLE_AMBIENT=true", "AMBIENT_ENABLE_MULTI_NETWORK_WAYPOINT=false")
	}
	c.Istiod, err = c.env.Processes.Start(c.Dir, "istiod", []string{c.env.Program("istiod"),
		"discovery", "--kubeconfig=" + c.Kubeconfig, "--meshConfig=" + mesh,
		fmt.Sprintf("--grpcAddr=%s:%d", c.IP, XDSPort), fmt.Sprintf("--secureGRPCAddr=%s:%d", c.IP, SecureXDSPort),
		"--tlsCertFile=" + certificates["chain"], "--tlsKeyFile=" + certificates["key"], "--caCertFile=" + certificates["root"],
		"--httpsAddr=", "--httpAddr=" + c.IP + ":8080", "--monitoringAddr=" + c.IP + ":15014"}, process.WithEnv(env...))
	if err != nil {
		return err
	}
	return c.awaitIstiod()
}

// writeCertificate writes the certificate with which istiod serves Istio's agents, and returns the files.
func (c *Cluster) writeCertificate() (map[string]string, error) {
	identity, err := c.Authority.Issue(RootNamespace, "istiod", net.ParseIP(c.IP))
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for name, text := range map[string][]byte{"chain": identity.Chain, "key": identity.Key, "root": identity.Root} {
		files[name] = filepath.Join(c.Dir, "istiod-"+name+".pem")
		if err := os.WriteFile(files[name], text, 0o600); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func (c *Cluster) awaitIstiod() error {
	return c.awaitOK(c.Istiod, http.DefaultClient, "http://"+c.IP+":8080/ready")
}

// Crash kills one part, calls without, starts the part again and waits until it is ready.
func (c *Cluster) Crash(part *process.Process, without func()) error {
	part.Kill()
	without()
	if err := part.Start(); err != nil {
		return err
	}
	switch part {
	case c.Etcd:
		return c.awaitEtcd()
	case c.APIServer:
		return c.awaitAPIServer()
	default:
		return c.awaitIstiod()
	}
}

// Stop ends all parts of a control plane that is not used again.
func (c *Cluster) Stop() {
	for _, part := range []*process.Process{c.Istiod, c.APIServer, c.Etcd} {
		part.Kill()
	}
}

// awaitOK polls an address until it answers 200, or the process behind it has ended.
func (c *Cluster) awaitOK(p *process.Process, client *http.Client, url string) error {
	return wait.Until(p.Name+" is ready", func() error {
		if err := p.Exited(); err != nil {
			return wait.Permanent(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, response.Status)
		}
		return nil
	})
}

// CreateNamespace creates a namespace without sidecar injection.
func (c *Cluster) CreateNamespace(name string) error {
	namespace := kube.Ref("v1", "Namespace", "", name)
	// Without the label, `istioctl analyze` reports that it is missing.
	namespace.SetLabels(map[string]string{"istio-injection": "disabled"})
	_, err := c.Kube.Apply(namespace)
	return err
}

// Logs returns the end of each part's log, for the report of a failure.
func (c *Cluster) Logs() string {
	var text string
	for _, p := range []*process.Process{c.Etcd, c.APIServer, c.Istiod} {
		if p != nil {
			text += p.Tail()
		}
	}
	return text
}

func writeRSAKey(file string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return os.WriteFile(file, pem.EncodeToMemory(block), 0o600)
}

const kubeconfig = `apiVersion: v1
kind: Config
clusters: [{name: mesh, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: %q}}]
contexts: [{name: mesh, context: {cluster: mesh, user: admin}}]
current-context: mesh
`

// Istio's own metrics filter is in its own build of Envoy only. Automatic mutual TLS would make every cluster wait
// for certificates that only Istio's agent serves. Hosts outside the registry are not reachable, as in a strict mesh.
const meshConfig = `defaultProviders: {metrics: []}
enableAutoMtls: false
accessLogFile: ""
outboundTrafficPolicy: {mode: REGISTRY_ONLY}
` + AccessLogProviders

// AccessLogProviders are those of docs/access-log.md. No proxy has an access log unless a Telemetry selects one of them.
const AccessLogProviders = `extensionProviders:
- name: mooring
  envoyFileAccessLog:
    path: /dev/stdout
    logFormat:
      text: |
        [%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %DURATION% %UPSTREAM_CLUSTER% %UPSTREAM_HOST% %REQ(X-REQUEST-ID)% %FILTER_STATE(wasm.mooring:PLAIN)%
- name: mooring-json
  envoyFileAccessLog:
    path: /dev/stdout
    logFormat:
      labels:
        time: "%START_TIME%"
        method: "%REQ(:METHOD)%"
        path: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"
        code: "%RESPONSE_CODE%"
        flags: "%RESPONSE_FLAGS%"
        cluster: "%UPSTREAM_CLUSTER%"
        host: "%UPSTREAM_HOST%"
        route: "%ROUTE_NAME%"
        request_id: "%REQ(X-REQUEST-ID)%"
        mooring: "%FILTER_STATE(wasm.mooring:PLAIN)%"
`
