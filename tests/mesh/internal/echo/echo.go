// Package echo is what the pods of the rig and its clients agree on: a pod answers with its name and with the request that it
// received.
package echo

import (
	"encoding/json"
	"io"
	"net/http"
)

// Every answer names its pod and version in a header too, because the answer to HEAD has no body.
const (
	PodHeader     = "X-Pod"
	VersionHeader = "X-Pod-Version"
)

// A Request is a request as the pod received it.
type Request struct {
	Pod     string      `json:"pod"`
	Version string      `json:"version"`
	Method  string      `json:"method"`
	Host    string      `json:"host"`
	Path    string      `json:"path"` // with the query
	Headers http.Header `json:"headers"`
}

// Encode writes the request as JSON. Header values are bytes, and JSON would replace those that are not UTF-8, so each byte is
// encoded as the character of the same number.
func Encode(w io.Writer, r Request) error {
	r.Headers = r.Headers.Clone()
	convert(r.Headers, func(value string) string {
		runes := make([]rune, len(value))
		for i := range len(value) {
			runes[i] = rune(value[i])
		}
		return string(runes)
	})
	return json.NewEncoder(w).Encode(r)
}

// Decode reads what Encode has written.
func Decode(text []byte) (Request, error) {
	var r Request
	if err := json.Unmarshal(text, &r); err != nil {
		return Request{}, err
	}
	convert(r.Headers, func(value string) string {
		var bytes []byte
		for _, r := range value {
			bytes = append(bytes, byte(r))
		}
		return string(bytes)
	})
	return r, nil
}

func convert(headers http.Header, f func(string) string) {
	for _, values := range headers {
		for i, value := range values {
			values[i] = f(value)
		}
	}
}
