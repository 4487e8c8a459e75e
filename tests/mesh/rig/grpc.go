package rig

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
)

// A pod whose containerPort has a name that begins with "grpc" serves grpc.testing.TestService on it.

type testService struct {
	grpc_testing.UnimplementedTestServiceServer
	pod *Pod
}

// UnaryCall answers with the pod's name, in the message and, as the HTTP pods do, in the headers.
func (s testService) UnaryCall(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	headers := metadata.Pairs(podHeader, s.pod.Name, versionHeader, s.pod.Version)
	if err := grpc.SendHeader(ctx, headers); err != nil {
		return nil, err
	}
	return &grpc_testing.SimpleResponse{ServerId: s.pod.Name}, nil
}

// grpcServer can be ended like an http.Server.
type grpcServer struct{ *grpc.Server }

func (s grpcServer) Close() error {
	s.Stop()
	return nil
}

func (s grpcServer) Shutdown(context.Context) error {
	s.GracefulStop()
	return nil
}

func (p *Pod) serveGRPC(listener net.Listener) server {
	server := grpc.NewServer()
	grpc_testing.RegisterTestServiceServer(server, testService{pod: p})
	go func() { _ = server.Serve(listener) }()
	return grpcServer{server}
}

// CallGRPC makes one call, on a connection of its own, with the given metadata: name, value, name, value…
func (g *Gateway) CallGRPC(headers ...string) (Reply, error) {
	conn, err := grpc.NewClient("passthrough:///mesh.example",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return g.dial(ctx, g.ports[80]) }))
	if err != nil {
		return Reply{}, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	var got metadata.MD
	ctx = metadata.AppendToOutgoingContext(ctx, headers...)
	response, err := grpc_testing.NewTestServiceClient(conn).UnaryCall(ctx, &grpc_testing.SimpleRequest{}, grpc.Header(&got))
	if err != nil {
		return Reply{}, err
	}
	if pod := strings.Join(got.Get(podHeader), ", "); pod != response.ServerId {
		return Reply{}, fmt.Errorf("pod %q by the headers, %q by the message", pod, response.ServerId)
	}
	reply := Reply{
		Status: 200, Pod: response.ServerId, Version: strings.Join(got.Get(versionHeader), ", "),
		SetCookie: got.Get("set-cookie"), Header: map[string][]string{},
	}
	for name, values := range got {
		for _, value := range values {
			reply.Header.Add(name, value)
		}
	}
	return reply, nil
}
