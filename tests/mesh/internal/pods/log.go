package pods

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// A Log keeps the lines that a pod's program writes, each with its time. It is safe for concurrent use.
type Log struct {
	mu    sync.Mutex
	lines []logLine
	rest  []byte // a line that has not ended
}

type logLine struct {
	at   time.Time
	text []byte
}

// Write appends what the program writes.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		l.lines, l.rest = append(l.lines, logLine{time.Now(), line}), rest
	}
}

// Print writes the lines since a time.
func (l *Log) Print(to io.Writer, since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if !line.at.Before(since) {
			fmt.Fprintf(to, "%s\n", line.text)
		}
	}
}
