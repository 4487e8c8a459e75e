// Package envoy reads the configuration and the statistics of a running Envoy by its administration interface, and waits for both.
package envoy

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"mooring.dev/tests/mesh/internal/process"
	"mooring.dev/tests/mesh/internal/wait"
)

// AdminPort is the port of the administration interface, unless Envoy.Port is another.
const AdminPort = 15000

// An Envoy is a running Envoy with an administration interface. Methods that take a testing.TB fail the test on any
// error. It is safe for concurrent use.
type Envoy struct {
	Name    string // for messages
	IP      string // of the administration interface, and of listeners on every address
	Port    int    // of the administration interface; 0 means AdminPort
	Process *process.Process
}

// Admin reads a page of the administration interface.
func (e *Envoy) Admin(t testing.TB, path string) string {
	t.Helper()
	page, err := e.admin(path)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// Ready returns an error unless Envoy has its first configuration.
func (e *Envoy) Ready() error { return e.answers("/ready") }

// Running returns an error unless the administration interface answers.
func (e *Envoy) Running() error { return e.answers("/server_info") }

func (e *Envoy) answers(path string) error {
	if err := e.Process.Exited(); err != nil {
		return wait.Permanent(err)
	}
	_, err := e.admin(path)
	return err
}

func (e *Envoy) admin(path string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	page := fmt.Sprintf("http://%s:%d%s", e.IP, cmp.Or(e.Port, AdminPort), path)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s: %s", path, response.Status, strings.TrimSpace(string(body)))
	}
	return string(body), nil
}

// Stat returns the value of one counter or gauge; one that Envoy has not made yet is 0.
func (e *Envoy) Stat(t testing.TB, name string) int {
	t.Helper()
	stats, err := e.Stats("^" + regexp.QuoteMeta(name) + "$")
	if err != nil {
		t.Fatal(err)
	}
	return stats[name]
}

// Stats returns the counters and gauges whose names match a regular expression. Envoy has thousands, so nothing should ask for all of
// them repeatedly.
func (e *Envoy) Stats(names string) (map[string]int, error) {
	page, err := e.admin("/stats?format=json&type=All&filter=" + url.QueryEscape(names))
	if err != nil {
		return nil, err
	}
	var list struct {
		Stats []struct {
			Name  string `json:"name"`
			Value any    `json:"value"`
		} `json:"stats"`
	}
	if err := json.Unmarshal([]byte(page), &list); err != nil {
		return nil, err
	}
	stats := map[string]int{}
	for _, stat := range list.Stats {
		if value, ok := stat.Value.(float64); ok { // text readouts and histograms have no such value
			stats[stat.Name] = int(value)
		}
	}
	return stats, nil
}

// Rejected names each kind of configuration of which Envoy has rejected an update.
func (e *Envoy) Rejected() ([]string, error) {
	// ECDS counts in config_fail and update_rejected, LDS, CDS and RDS in update_rejected.
	stats, err := e.Stats(`\.(update_rejected|config_fail)$`)
	if err != nil {
		return nil, err
	}
	var names []string
	for name, value := range stats {
		if value > 0 {
			names = append(names, fmt.Sprintf("%s=%d", name, value))
		}
	}
	return names, nil
}

// ExtensionUpdates counts the updates of HTTP filters by ECDS, as WasmPlugins come, that Envoy has accepted or rejected.
func (e *Envoy) ExtensionUpdates(t testing.TB) int {
	t.Helper()
	stats, err := e.Stats(`^extension_config_discovery\..*\.(config_reload|config_fail)$`)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, value := range stats {
		n += value
	}
	return n
}
