package traffic

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

	"mooring.dev/tests/mesh/internal/echo"
)

// A GRPCClient calls grpc.testing.TestService over one connection.
type GRPCClient struct {
	conn *grpc.ClientConn
	stub grpc_testing.TestServiceClient
}

// NewGRPCClient returns a client that sends this host name.
func NewGRPCClient(host string, dial Dialer) (*GRPCClient, error) {
	conn, err := grpc.NewClient("passthrough:///"+host,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dial(ctx) }))
	if err != nil {
		return nil, err
	}
	return &GRPCClient{conn: conn, stub: grpc_testing.NewTestServiceClient(conn)}, nil
}

// Close closes the connection.
func (c *GRPCClient) Close() { _ = c.conn.Close() }

// Call makes one unary call with the given metadata: name, value, name, value…
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
		Status: 200, Pod: strings.Join(got.Get(echo.PodHeader), ", "), Version: strings.Join(got.Get(echo.VersionHeader), ", "),
		SetCookie: got.Get("set-cookie"), Header: map[string][]string{},
	}
	for name, values := range got {
		for _, value := range values {
			reply.Header.Add(name, value)
		}
	}
	return reply
}

// A GRPCStream is an open bidirectional call.
type GRPCStream struct {
	stream grpc_testing.TestService_FullDuplexCallClient
	// Opened holds the response headers.
	Opened Reply
}

// Stream opens a call with the given metadata. It ends with the context.
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
