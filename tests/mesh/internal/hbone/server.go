package hbone

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"

	"golang.org/x/sys/unix"
)

// NewServer returns a server that ends tunnels as the ztunnel of a pod does, and continues each to its target.
func (i *Identity) NewServer() *http.Server {
	return &http.Server{Handler: http.HandlerFunc(accept), TLSConfig: i.config.Clone()}
}

// Listen listens on an address for tunnels. A waypoint listens on the same port of every address for a moment when it starts.
func Listen(address string) (net.Listener, error) {
	shared := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error {
		var failed error
		err := conn.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		return errors.Join(err, failed)
	}}
	return shared.Listen(context.Background(), "tcp", address)
}

func accept(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	conn, err := net.Dial("tcp", r.Host)
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer conn.Close()
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w).Flush
	if flush() != nil {
		return
	}
	go func() {
		_, _ = io.Copy(conn, r.Body)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(flushing{w, flush}, conn)
}

// flushing sends what is written at once.
type flushing struct {
	io.Writer
	flush func() error
}

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	if err == nil {
		err = f.flush()
	}
	return n, err
}
