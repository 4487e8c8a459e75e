package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"time"

	"mooring.dev/tests/mesh/internal/controllers"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/pods"
)

const kubeletPort = 10250

// startKubelet writes the Node of all pods, and serves on its address the only thing that the suite reads from a kubelet: logs of pods.
func (f *Follower) startKubelet() error {
	meta := map[string]any{"name": controllers.NodeName}
	node := &kube.Object{Object: map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": meta}}
	if _, err := f.Cluster.Kube.Apply(node); err != nil {
		return err
	}
	node.Object["status"] = map[string]any{
		"addresses":       []any{map[string]any{"type": "InternalIP", "address": f.Cluster.IP}},
		"daemonEndpoints": map[string]any{"kubeletEndpoint": map[string]any{"Port": int64(kubeletPort)}},
	}
	if _, err := f.Cluster.Kube.Apply(node, "status"); err != nil {
		return err
	}
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", net.JoinHostPort(f.Cluster.IP, fmt.Sprint(kubeletPort)),
		&tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", f.containerLog)
	f.kubelet = &http.Server{Handler: mux}
	go func() { _ = f.kubelet.Serve(listener) }()
	return nil
}

func (f *Follower) containerLog(w http.ResponseWriter, r *http.Request) {
	var since time.Time
	if text := r.FormValue("sinceTime"); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339, text); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	if log := f.logOf(r.PathValue("namespace"), r.PathValue("pod")); log != nil {
		log.Print(w, since)
		return
	}
	http.NotFound(w, r)
}

func (f *Follower) logOf(namespace, name string) *pods.Log {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.manager.Pods {
		if p.Namespace == namespace && p.Name == name {
			return p.Log
		}
	}
	return nil
}

// selfSigned returns a certificate for a kubelet, which the API server does not check.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
