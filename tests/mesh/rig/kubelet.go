package rig

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"
)

// nodeName is the Node on which a Follower's pods are.
const nodeName = "rig"

const kubeletPort = 10250

// startNode writes the Node, and serves on its address the one thing that is asked of a kubelet: the logs of pods.
func (f *Follower) startNode() error {
	meta := map[string]any{"name": nodeName}
	node := &Object{Object: map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": meta}}
	if _, err := f.Cluster.kube.apply(node); err != nil {
		return err
	}
	node.Object["status"] = map[string]any{
		"addresses":       []any{map[string]any{"type": "InternalIP", "address": f.Cluster.ip}},
		"daemonEndpoints": map[string]any{"kubeletEndpoint": map[string]any{"Port": int64(kubeletPort)}},
	}
	if _, err := f.Cluster.kube.apply(node, "status"); err != nil {
		return err
	}
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", net.JoinHostPort(f.Cluster.ip, fmt.Sprint(kubeletPort)),
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
		log.print(w, since)
		return
	}
	http.NotFound(w, r)
}

func (f *Follower) logOf(namespace, name string) *podLog {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.scenario.pods {
		if p.Namespace == namespace && p.Name == name {
			return p.log
		}
	}
	return nil
}

// A podLog keeps the lines that a pod's program writes, each with its time.
type podLog struct {
	mu    sync.Mutex
	lines []logLine
	rest  []byte // of a line that has not ended
}

type logLine struct {
	at   time.Time
	text []byte
}

// Write takes what the program writes.
func (l *podLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		l.lines, l.rest = append(l.lines, logLine{time.Now(), line}), rest
	}
}

func (l *podLog) print(to io.Writer, since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if !line.at.Before(since) {
			fmt.Fprintf(to, "%s\n", line.text)
		}
	}
}

// selfSigned is a certificate for a kubelet, which the API server does not check.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
