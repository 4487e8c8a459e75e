package envoy

import (
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"time"

	"mooring.dev/tests/mesh/internal/wait"
)

// SyncWorkers returns when every worker serves by the configuration that the main thread had when SyncWorkers was called.
//
// Envoy's main thread accepts an update, shows it in the configuration dump at once, and posts it to each worker. A worker runs what
// is posted to it in order, and before it accepts a connection that is opened later. So SyncWorkers opens connections until each
// worker has accepted one, by its own counter `listener.<address>.worker_<n>.downstream_cx_total`. It does so twice, because a worker
// that is accepting connections when the update is posted may accept the first one still in the same turn of its event loop.
//
// Listeners with listener filters are left out: they count a connection only after data has come. Where Envoy has no other listener,
// SyncWorkers returns at once.
func (e *Envoy) SyncWorkers() error {
	addresses, err := e.plainListeners()
	if err != nil {
		return err
	}
	for range 2 {
		if err := e.reachWorkers(addresses); err != nil {
			return err
		}
	}
	return nil
}

func (e *Envoy) reachWorkers(addresses []string) error {
	before, err := e.acceptedByWorker()
	if err != nil {
		return err
	}
	// They stay open until the end: a listener that balances connections exactly, as a waypoint's does, gives none to a worker that has more
	// of them than another.
	var conns []net.Conn
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
	}()
	return wait.Until("each worker of "+e.Name+" accepts a connection", func() error {
		if err := e.Process.Exited(); err != nil {
			return wait.Permanent(err)
		}
		open := false
		for _, address := range addresses {
			for range 4 {
				conn, err := net.DialTimeout("tcp", address, time.Second)
				if err != nil {
					break // the listener has been removed since
				}
				open = true
				conns = append(conns, conn)
			}
		}
		if !open {
			return nil
		}
		time.Sleep(time.Millisecond) // so that the first check often is the last
		now, err := e.acceptedByWorker()
		if err != nil {
			return err
		}
		for worker, n := range before {
			if now[worker] == n {
				return fmt.Errorf("worker %d has accepted none", worker)
			}
		}
		return nil
	})
}

const concurrencyStat = "server.concurrency"

var acceptedStat = regexp.MustCompile(`^listener\..*\.worker_(\d+)\.downstream_cx_total$`)

// acceptedByWorker counts the connections that each worker has accepted since the start. A worker without a listener yet has 0.
func (e *Envoy) acceptedByWorker() ([]int, error) {
	stats, err := e.Stats(acceptedStat.String() + `|^` + regexp.QuoteMeta(concurrencyStat) + `$`)
	if err != nil {
		return nil, err
	}
	accepted := make([]int, stats[concurrencyStat])
	for name, n := range stats {
		match := acceptedStat.FindStringSubmatch(name)
		if match == nil {
			continue
		}
		worker, err := strconv.Atoi(match[1])
		if err != nil || worker >= len(accepted) {
			return nil, fmt.Errorf("%s: %d workers, and a statistic %s: %w", e.Name, len(accepted), name, err)
		}
		accepted[worker] += n
	}
	return accepted, nil
}

// plainListeners returns the addresses of the active TCP listeners that have no listener filters.
func (e *Envoy) plainListeners() ([]string, error) {
	var dump struct {
		Configs []struct {
			Active struct {
				Listener struct {
					Address struct {
						Socket struct {
							Protocol string `json:"protocol"`
							Address  string `json:"address"`
							Port     int    `json:"port_value"`
						} `json:"socket_address"`
					} `json:"address"`
					Filters []json.RawMessage `json:"listener_filters"`
				} `json:"listener"`
			} `json:"active_state"`
		} `json:"configs"`
	}
	if err := e.Dump("dynamic_listeners", &dump); err != nil {
		return nil, err
	}
	var addresses []string
	for _, config := range dump.Configs {
		listener := config.Active.Listener
		socket := listener.Address.Socket
		if socket.Port == 0 || socket.Protocol == "UDP" || len(listener.Filters) > 0 {
			continue
		}
		if socket.Address == "0.0.0.0" || socket.Address == "::" {
			socket.Address = e.IP
		}
		addresses = append(addresses, net.JoinHostPort(socket.Address, strconv.Itoa(socket.Port)))
	}
	return addresses, nil
}
