package hbone

import (
	"net"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secret "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// ServeSecrets gives an Envoy its certificate and its root by SDS, as Istio's agent does, until the server is stopped.
func (i *Identity) ServeSecrets(address string) (*grpc.Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer()
	secret.RegisterSecretDiscoveryServiceServer(server, secrets{identity: i})
	go func() { _ = server.Serve(listener) }()
	return server, nil
}

type secrets struct {
	secret.UnimplementedSecretDiscoveryServiceServer
	identity *Identity
}

// version is that of all secrets: they do not change.
const version = "1"

// StreamSecrets answers each request that is not an acknowledgement.
func (s secrets) StreamSecrets(stream secret.SecretDiscoveryService_StreamSecretsServer) error {
	for {
		request, err := stream.Recv()
		if err != nil {
			return err
		}
		if request.VersionInfo == version {
			continue
		}
		response := &discovery.DiscoveryResponse{VersionInfo: version, Nonce: version, TypeUrl: request.TypeUrl}
		for _, name := range request.ResourceNames {
			resource, err := anypb.New(s.secret(name))
			if err != nil {
				return err
			}
			response.Resources = append(response.Resources, resource)
		}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
}

// secret returns the root for the name that istiod gives it, and the certificate for every other name.
func (s secrets) secret(name string) proto.Message {
	bytes := func(b []byte) *core.DataSource {
		return &core.DataSource{Specifier: &core.DataSource_InlineBytes{InlineBytes: b}}
	}
	if name == "ROOTCA" {
		return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_ValidationContext{
			ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: bytes(s.identity.Root)},
		}}
	}
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{
		TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: bytes(s.identity.Chain), PrivateKey: bytes(s.identity.Key)},
	}}
}
