package rig

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/rest"
)

// A Cluster is one control plane: etcd, kube-apiserver and istiod, all real. It has no controllers, no scheduler
// and no kubelet; a Scenario stands in for what those would do for its own objects, a Follower for those of others.
type Cluster struct {
	GatewayAPI string // the Gateway API release whose definitions are installed
	Kubeconfig string

	Etcd, APIServer, Istiod *Process

	dir  string
	ip   string
	kube *kube
	// followed says that it is a Follower's alone. Its istiod asks gateways who they are, as it must before it gives them
	// certificates, and a Gateway may have parts in other namespaces.
	followed bool

	starting sync.Once
	failed   error // why it did not start
	claims   claims
}

const (
	token = "mesh-rig"
	// istioVersion is what the gateways say they are; istiod picks features by it.
	istioVersion = "1.31.0"
)

var clusters struct {
	sync.Mutex
	byName map[string]*Cluster
}

var starts sync.Mutex

// cluster returns the running control plane for a Gateway API release and starts it the first time.
func cluster(release string) (*Cluster, error) {
	return clusterOf("gateway-api-"+release, release, false)
}

// clusterOf is cluster for a control plane with a name of its own.
func clusterOf(name, release string, followed bool) (*Cluster, error) {
	clusters.Lock()
	c := clusters.byName[name]
	if c == nil {
		c = &Cluster{
			GatewayAPI: release,
			dir:        filepath.Join(state, name),
			// Each has an address of its own, so that all of them use the usual ports.
			ip:       fmt.Sprintf("10.245.0.%d", len(clusters.byName)+1),
			followed: followed,
		}
		if clusters.byName == nil {
			clusters.byName = map[string]*Cluster{}
		}
		clusters.byName[name] = c
	}
	clusters.Unlock()
	c.starting.Do(func() {
		// One after the other, since a start takes all the machine has: so scenarios on the first need not wait for the last.
		starts.Lock()
		defer starts.Unlock()
		if err := c.start(); err != nil {
			c.failed = fmt.Errorf("control plane %s: %w\n%s", name, err, c.logs())
		}
	})
	return c, c.failed
}

func (c *Cluster) start() error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	steps := []func() error{c.startEtcd, c.startAPIServer, c.installCRDs, c.startIstiod}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) startEtcd() (err error) {
	client, peer := "http://"+c.ip+":2379", "http://"+c.ip+":2380"
	c.Etcd, err = start(c.dir, "etcd", nil, filepath.Join(cache, "bin", "etcd"),
		"--name=mesh", "--data-dir="+filepath.Join(c.dir, "etcd"),
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=mesh="+peer)
	if err != nil {
		return err
	}
	return c.awaitEtcd()
}

func (c *Cluster) awaitEtcd() error {
	return c.awaitOK(c.Etcd, http.DefaultClient, "http://"+c.ip+":2379/health")
}

func (c *Cluster) startAPIServer() (err error) {
	key := filepath.Join(c.dir, "service-account.pem")
	tokens := filepath.Join(c.dir, "tokens.csv")
	c.Kubeconfig = filepath.Join(c.dir, "kubeconfig")
	if err := writeRSAKey(key); err != nil {
		return err
	}
	if err := os.WriteFile(tokens, []byte(token+",admin,admin,system:masters\n"), 0o600); err != nil {
		return err
	}
	server := "https://" + c.ip + ":6443"
	if err := os.WriteFile(c.Kubeconfig, []byte(fmt.Sprintf(kubeconfig, server, token)), 0o600); err != nil {
		return err
	}
	if c.kube, err = newKube(server, token); err != nil {
		return err
	}
	c.APIServer, err = start(c.dir, "kube-apiserver", nil, filepath.Join(cache, "bin", "kube-apiserver"),
		"--etcd-servers=http://"+c.ip+":2379",
		"--bind-address="+c.ip, "--secure-port=6443", "--cert-dir="+filepath.Join(c.dir, "certs"),
		"--token-auth-file="+tokens, "--authorization-mode=RBAC",
		"--service-account-key-file="+key, "--service-account-signing-key-file="+key,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-cluster-ip-range=10.96.0.0/16",
		// It would hold back every Pod until a controller, which does not run here, has made its account.
		"--disable-admission-plugins=ServiceAccount")
	if err != nil {
		return err
	}
	err = c.awaitAPIServer()
	// It gives up where the machine is so busy that a part of it takes a minute; a kubelet would start it again.
	for tries := 1; tries < 3 && c.APIServer.Died() != nil; tries++ {
		if err = c.APIServer.start(); err == nil {
			err = c.awaitAPIServer()
		}
	}
	return err
}

func (c *Cluster) awaitAPIServer() error {
	client, err := rest.HTTPClientFor(c.kube.rest)
	if err != nil {
		return err
	}
	return c.awaitOK(c.APIServer, client, c.kube.rest.Host+"/readyz")
}

func (c *Cluster) startIstiod() (err error) {
	if err := c.createNamespace("istio-system"); err != nil {
		return err
	}
	mesh := filepath.Join(c.dir, "mesh.yaml")
	if err := os.WriteFile(mesh, []byte(meshConfig), 0o644); err != nil {
		return err
	}
	env := []string{
		"POD_NAMESPACE=istio-system", "POD_NAME=istiod",
		"PILOT_ENABLE_ALPHA_GATEWAY_API=true",
		"ENABLE_LEADER_ELECTION=false",
		// No sidecar and no agent runs here, so nobody would fetch a certificate.
		"PILOT_CERT_PROVIDER=none",
		// Two filters that only Istio's own build of Envoy has.
		"PILOT_ENABLE_METADATA_EXCHANGE=false", "PILOT_ENABLE_ALPN_FILTER=false",
	}
	if c.followed {
		env = append(env, "XDS_AUTH_PLAINTEXT=true")
	} else {
		// A Gateway of one scenario is not for the gateways of another that runs at the same time.
		env = append(env, "PILOT_SCOPE_GATEWAY_TO_NAMESPACE=true")
	}
	c.Istiod, err = start(c.dir, "istiod", env, filepath.Join(cache, "bin", "istiod"),
		"discovery", "--kubeconfig="+c.Kubeconfig, "--meshConfig="+mesh,
		"--grpcAddr="+c.ip+":15010", "--secureGRPCAddr=", "--httpsAddr=",
		"--httpAddr="+c.ip+":8080", "--monitoringAddr="+c.ip+":15014")
	if err != nil {
		return err
	}
	return c.awaitIstiod()
}

func (c *Cluster) awaitIstiod() error {
	return c.awaitOK(c.Istiod, http.DefaultClient, "http://"+c.ip+":8080/ready")
}

// Crash kills one part, does something without it, starts it again and waits until it is ready.
func (c *Cluster) Crash(part *Process, without func()) error {
	part.Kill()
	without()
	if err := part.start(); err != nil {
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

// stop ends all parts, for a control plane that no other scenario is to use.
func (c *Cluster) stop() {
	for _, part := range []*Process{c.Istiod, c.APIServer, c.Etcd} {
		part.Kill()
	}
}

// awaitOK polls an address until it answers 200, or the process behind it has ended.
func (c *Cluster) awaitOK(p *Process, client *http.Client, url string) error {
	return poll(p.Name+" is ready", func() error {
		if err := p.Died(); err != nil {
			return hopeless{err}
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

func (c *Cluster) createNamespace(name string) error {
	namespace := &Object{}
	namespace.SetAPIVersion("v1")
	namespace.SetKind("Namespace")
	namespace.SetName(name)
	// Nothing here injects sidecars; unsaid, `istioctl analyze` would remark on it.
	namespace.SetLabels(map[string]string{"istio-injection": "disabled"})
	_, err := c.kube.apply(namespace)
	return err
}

// logs is the end of each part's log, for the report of a failure.
func (c *Cluster) logs() string {
	var text string
	for _, p := range []*Process{c.Etcd, c.APIServer, c.Istiod} {
		if p != nil {
			text += section(p)
		}
	}
	return text
}

func section(p *Process) string {
	return fmt.Sprintf("---- the end of %s's log ----\n%s\n", p.Name, p.tail(25))
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
// for certificates that only Istio's agent serves. What no registry knows is not reached, as strict meshes have it.
const meshConfig = `defaultProviders: {metrics: []}
enableAutoMtls: false
accessLogFile: ""
outboundTrafficPolicy: {mode: REGISTRY_ONLY}
`
