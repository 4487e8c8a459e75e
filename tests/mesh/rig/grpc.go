package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// FullDuplexCall answers each message of a stream with the pod's name.
func (s testService) FullDuplexCall(stream grpc_testing.TestService_FullDuplexCallServer) error {
	if err := stream.SendHeader(metadata.Pairs(podHeader, s.pod.Name, versionHeader, s.pod.Version)); err != nil {
		return err
	}
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		body := &grpc_testing.Payload{Body: []byte(s.pod.Name)}
		if err := stream.Send(&grpc_testing.StreamingOutputCallResponse{Payload: body}); err != nil {
			return err
		}
	}
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

// A GRPCClient is one connection to a gateway's port 80.
type GRPCClient struct {
	conn *grpc.ClientConn
	stub grpc_testing.TestServiceClient
}

// GRPC is a new client, which believes it talks to this host.
func (g *Gateway) GRPC(host string) (*GRPCClient, error) {
	conn, err := grpc.NewClient("passthrough:///"+host,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return g.dial(ctx, g.ports[80]) }))
	if err != nil {
		return nil, err
	}
	return &GRPCClient{conn: conn, stub: grpc_testing.NewTestServiceClient(conn)}, nil
}

// Close ends the connection.
func (c *GRPCClient) Close() { _ = c.conn.Close() }

// CallGRPC makes one call, on a connection of its own, with the given metadata: name, value, name, value…
func (g *Gateway) CallGRPC(headers ...string) (Reply, error) {
	client, err := g.GRPC("mesh.example")
	if err != nil {
		return Reply{}, err
	}
	defer client.Close()
	return client.Call(headers...)
}

// Call makes one call with the given metadata.
func (c *GRPCClient) Call(headers ...string) (Reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	var got metadata.MD
	ctx = metadata.AppendToOutgoingContext(ctx, headers...)
	response, err := c.stub.UnaryCall(ctx, &grpc_testing.SimpleRequest{}, grpc.Header(&got))
	if err != nil {
		return Reply{}, err
	}
	reply := grpcReply(got)
	if reply.Pod != response.ServerId {
		return Reply{}, fmt.Errorf("pod %q by the headers, %q by the message", reply.Pod, response.ServerId)
	}
	return reply, nil
}

func grpcReply(got metadata.MD) Reply {
	reply := Reply{
		Status: 200, Pod: strings.Join(got.Get(podHeader), ", "), Version: strings.Join(got.Get(versionHeader), ", "),
		SetCookie: got.Get("set-cookie"), Header: map[string][]string{},
	}
	for name, values := range got {
		for _, value := range values {
			reply.Header.Add(name, value)
		}
	}
	return reply
}

// A GRPCStream is one call that goes on.
type GRPCStream struct {
	stream grpc_testing.TestService_FullDuplexCallClient
	// Opened is what came back when it began.
	Opened Reply
}

// Stream begins a call with the given metadata that goes on until the context ends.
func (c *GRPCClient) Stream(ctx context.Context, headers ...string) (*GRPCStream, error) {
	stream, err := c.stub.FullDuplexCall(metadata.AppendToOutgoingContext(ctx, headers...))
	if err != nil {
		return nil, err
	}
	got, err := stream.Header()
	if err != nil {
		return nil, err
	}
	return &GRPCStream{stream: stream, Opened: grpcReply(got)}, nil
}

// Ask sends a message on the stream and returns the name of the pod that answers.
func (s *GRPCStream) Ask() (string, error) {
	if err := s.stream.Send(&grpc_testing.StreamingOutputCallRequest{}); err != nil {
		return "", err
	}
	answer, err := s.stream.Recv()
	if err != nil {
		return "", err
	}
	return string(answer.GetPayload().GetBody()), nil
}
