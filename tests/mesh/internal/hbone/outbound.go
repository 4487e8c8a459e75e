package hbone

import (
	"context"
	"io"
	"net"
)

// Listen accepts connections on an address, as ztunnel takes those of a pod, and continues each in a tunnel, until the listener is closed.
// The tunnels end with their connections.
func (i *Identity) Listen(address, via, target string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go i.carry(conn, via, target)
		}
	}()
	return listener, nil
}

func (i *Identity) carry(conn net.Conn, via, target string) {
	defer conn.Close()
	tunnel, err := i.Dial(context.Background(), via, target)
	if err != nil {
		return
	}
	defer tunnel.Close()
	go func() {
		_, _ = io.Copy(tunnel, conn)
		_ = tunnel.Close()
	}()
	_, _ = io.Copy(conn, tunnel)
}
