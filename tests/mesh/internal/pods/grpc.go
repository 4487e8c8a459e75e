package pods

import (
	"context"
	"errors"
	"io"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"mooring.dev/tests/mesh/internal/echo"
)

// testService is grpc.testing.TestService on containerPorts whose name begins with "grpc".
type testService struct {
	grpc_testing.UnimplementedTestServiceServer
	pod *Pod
}

// UnaryCall answers with the pod's name, in the message and, as the HTTP pods do, in the headers.
func (s testService) UnaryCall(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	headers := metadata.Pairs(echo.PodHeader, s.pod.Name, echo.VersionHeader, s.pod.Version)
	if err := grpc.SendHeader(ctx, headers); err != nil {
		return nil, err
	}
	return &grpc_testing.SimpleResponse{ServerId: s.pod.Name}, nil
}

// FullDuplexCall answers each message of a stream with the pod's name.
func (s testService) FullDuplexCall(stream grpc_testing.TestService_FullDuplexCallServer) error {
	if err := stream.SendHeader(metadata.Pairs(echo.PodHeader, s.pod.Name, echo.VersionHeader, s.pod.Version)); err != nil {
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

// grpcServer implements Server.
type grpcServer struct{ *grpc.Server }

func (s grpcServer) Close() error {
	s.Stop()
	return nil
}

func (s grpcServer) Shutdown(context.Context) error {
	s.GracefulStop()
	return nil
}

func (p *Pod) serveGRPC(listener net.Listener) Server {
	server := grpc.NewServer()
	grpc_testing.RegisterTestServiceServer(server, testService{pod: p})
	go func() { _ = server.Serve(listener) }()
	return grpcServer{server}
}
