package hbone

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"golang.org/x/net/http2"
)

// Dial opens a tunnel through a waypoint, or to a pod, at the address of via. The target is an address and a port: of a Service or of a
// pod. Each tunnel has its own connection.
func (i *Identity) Dial(ctx context.Context, via, target string) (net.Conn, error) {
	conn, err := (&tls.Dialer{Config: i.config}).DialContext(ctx, "tcp", via)
	if err != nil {
		return nil, err
	}
	near, err := connect(ctx, conn, target)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return near, nil
}

// connect opens one tunnel on a connection, which ends with the tunnel.
func connect(ctx context.Context, conn net.Conn, target string) (net.Conn, error) {
	client, err := (&http2.Transport{}).NewClientConn(conn)
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	// The tunnel outlives the context, which is for its start only.
	request, err := http.NewRequest(http.MethodConnect, "https://"+target, io.NopCloser(far))
	if err != nil {
		return nil, err
	}
	request.URL = &url.URL{Scheme: "https", Host: target}
	started := context.AfterFunc(ctx, func() { _ = conn.Close() })
	response, err := client.RoundTrip(request)
	if !started() {
		return nil, ctx.Err()
	}
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("CONNECT %s: %s", target, response.Status)
	}
	if err != nil {
		return nil, err
	}
	go func() {
		_, _ = io.Copy(far, response.Body)
		_ = far.Close()
		_ = conn.Close()
	}()
	return near, nil
}
