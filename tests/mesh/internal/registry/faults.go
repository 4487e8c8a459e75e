package registry

import (
	"fmt"
	"net/http"
	"sync"
)

// A Fault answers a request and returns nil, or returns the writer with which the request is served.
type Fault func(http.ResponseWriter, *http.Request) http.ResponseWriter

// Status answers every request with this status.
func Status(code int) Fault {
	return func(w http.ResponseWriter, _ *http.Request) http.ResponseWriter {
		http.Error(w, http.StatusText(code), code)
		return nil
	}
}

// Hold lets every request wait until release is called, and then serves it. A held request ends earlier if its client gives up.
func Hold() (fault Fault, release func()) {
	released := make(chan struct{})
	fault = func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		select {
		case <-released:
			return w
		case <-r.Context().Done():
			return nil
		}
	}
	return fault, sync.OnceFunc(func() { close(released) })
}

// Credentials refuses requests without this user and password, with a challenge of the scheme Basic.
func Credentials(user, password, realm string) Fault {
	return func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		if haveUser, havePassword, ok := r.BasicAuth(); ok && haveUser == user && havePassword == password {
			return w
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Basic realm=%q", realm))
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
		return nil
	}
}

// Corrupt changes the first byte of every response body of a GET, but not its length.
func Corrupt() Fault {
	return func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		if r.Method != http.MethodGet || r.URL.Path == "/v2/" {
			return w
		}
		return &corruptWriter{ResponseWriter: w}
	}
}

type corruptWriter struct {
	http.ResponseWriter
	written bool
}

func (w *corruptWriter) Write(body []byte) (int, error) {
	if !w.written && len(body) > 0 {
		w.written = true
		body = append([]byte{body[0] ^ 1}, body[1:]...)
	}
	return w.ResponseWriter.Write(body)
}
