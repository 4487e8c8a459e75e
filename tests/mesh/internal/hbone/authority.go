// Package hbone is the transport of Istio's ambient mesh, HTTP/2 CONNECT over mutual TLS, as ztunnel has it on both sides of a waypoint.
package hbone

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"sync/atomic"
	"time"
)

// Port is where waypoints and pods accept tunnels.
const Port = 15008

// An Authority issues certificates for the identities of one mesh. It is safe for concurrent use.
type Authority struct {
	key    *ecdsa.PrivateKey
	cert   *x509.Certificate
	serial atomic.Int64
}

// NewAuthority returns an authority with a new key.
func NewAuthority() (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificate(1)
	template.Subject = pkix.Name{CommonName: "mesh rig"}
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	a := &Authority{key: key}
	a.serial.Store(1)
	a.cert, err = x509.ParseCertificate(der)
	return a, err
}

func certificate(serial int64) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
}

// An Identity is the certificate of a service account, with its key and the root that it trusts.
type Identity struct {
	Root, Chain, Key []byte // PEM

	config *tls.Config
}

// Issue returns an identity of a service account. A server that clients know by its addresses needs them in its certificate.
func (a *Authority) Issue(namespace, account string, addresses ...net.IP) (*Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificate(a.serial.Add(1))
	template.URIs = []*url.URL{{Scheme: "spiffe", Host: "cluster.local", Path: fmt.Sprintf("/ns/%s/sa/%s", namespace, account)}}
	template.IPAddresses = addresses
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return &Identity{
		Root: encode("CERTIFICATE", a.cert.Raw), Chain: encode("CERTIFICATE", der), Key: encode("PRIVATE KEY", private),
		config: &tls.Config{
			Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
			MinVersion:   tls.VersionTLS13, NextProtos: []string{"h2"},
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots,
			// A SPIFFE identity is not the name of a host, so the chain is verified without one.
			InsecureSkipVerify: true,
			VerifyConnection: func(state tls.ConnectionState) error {
				_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, KeyUsages: template.ExtKeyUsage})
				return err
			},
		},
	}, nil
}

func encode(kind string, der []byte) []byte {
	var text bytes.Buffer
	_ = pem.Encode(&text, &pem.Block{Type: kind, Bytes: der}) // a buffer takes everything
	return text.Bytes()
}
