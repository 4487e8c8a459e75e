package rig

import (
	"io"
	"net"
	"sync"
)

// A forwarder takes connections on one address and continues them to another: all programs share one network namespace, and some
// bind a port on every address, so the port that others know is not the one that they have.
type forwarder struct {
	listener net.Listener
	to       string

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

func forward(from, to string) (*forwarder, error) {
	listener, err := net.Listen("tcp", from)
	if err != nil {
		return nil, err
	}
	f := &forwarder{listener: listener, to: to, conns: map[net.Conn]bool{}}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go f.carry(conn)
		}
	}()
	return f, nil
}

// carry copies both ways until both ends are done. An end that cannot be reached looks to the other as if it hung up.
func (f *forwarder) carry(client net.Conn) {
	server, err := net.Dial("tcp", f.to)
	if err != nil {
		_ = client.Close()
		return
	}
	if !f.keep(client, server) {
		return
	}
	defer f.drop(client, server)
	done := make(chan struct{})
	go func() {
		copyAndClose(server, client)
		close(done)
	}()
	copyAndClose(client, server)
	<-done
}

// copyAndClose ends the direction as its source did: a reset goes on as a reset.
func copyAndClose(to, from net.Conn) {
	if _, err := io.Copy(to, from); err == nil {
		_ = to.(*net.TCPConn).CloseWrite()
		return
	}
	_ = to.(*net.TCPConn).SetLinger(0)
	_ = to.Close()
	_ = from.Close()
}

func (f *forwarder) keep(conns ...net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range conns {
		if f.closed {
			_ = conn.Close()
		}
		f.conns[conn] = true
	}
	return !f.closed
}

func (f *forwarder) drop(conns ...net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close()
		delete(f.conns, conn)
	}
}

// Close ends the listener and all connections.
func (f *forwarder) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for conn := range f.conns {
		_ = conn.Close()
	}
	return f.listener.Close()
}
