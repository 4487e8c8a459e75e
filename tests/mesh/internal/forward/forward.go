// Package forward forwards TCP connections. All programs of a run share one network namespace, and some bind a port on every address,
// so the port that clients know is not the one that the program has.
package forward

import (
	"io"
	"net"
	"sync"
)

// A Forwarder accepts connections on one address and continues them to another.
type Forwarder struct {
	listener net.Listener
	to       string

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

// Start accepts connections on from, and continues each to the address to.
func Start(from, to string) (*Forwarder, error) {
	listener, err := net.Listen("tcp", from)
	if err != nil {
		return nil, err
	}
	f := &Forwarder{listener: listener, to: to, conns: map[net.Conn]bool{}}
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

// carry copies in both directions until both have ended. If the server cannot be reached, it closes the client's connection.
func (f *Forwarder) carry(client net.Conn) {
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

// copyAndClose ends the direction as its source did: it forwards a reset as a reset.
func copyAndClose(to, from net.Conn) {
	if _, err := io.Copy(to, from); err == nil {
		_ = to.(*net.TCPConn).CloseWrite()
		return
	}
	_ = to.(*net.TCPConn).SetLinger(0)
	_ = to.Close()
	_ = from.Close()
}

func (f *Forwarder) keep(conns ...net.Conn) bool {
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

func (f *Forwarder) drop(conns ...net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close()
		delete(f.conns, conn)
	}
}

// Close closes the listener and all connections.
func (f *Forwarder) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for conn := range f.conns {
		_ = conn.Close()
	}
	return f.listener.Close()
}
