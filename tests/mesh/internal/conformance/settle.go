package conformance

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/mooring"
	"mooring.dev/tests/mesh/internal/proxy"
	"mooring.dev/tests/mesh/internal/wait"
)

// settleTimeout is how long the gateways may take to serve by what has been generated. istiod leaves some of it out, such as a patch of a
// listener that it does not accept: the tests go on without it, and later calls do not wait for it.
const settleTimeout = 10 * time.Second

// Settle waits until every Gateway has its Envoy. With mooring, it applies what `mooring generate` makes of the objects in the cluster,
// deletes what is no longer generated, and waits until every worker of the gateways serves by it.
func (f *Follower) Settle(withMooring bool) error {
	f.settling.Lock()
	defer f.settling.Unlock()
	if err := f.reconcile(); err != nil {
		return err
	}
	if withMooring {
		if err := f.generate(); err != nil {
			return err
		}
	}
	var lacking map[missing]error
	for deadline := time.Now().Add(settleTimeout); time.Now().Before(deadline); time.Sleep(2 * wait.MinPause) {
		if lacking = f.missing(); len(lacking) == 0 {
			return f.syncWorkers()
		}
	}
	var failed []error
	for what, err := range lacking {
		f.ignored[what] = true
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// generate applies what `mooring generate` prints, in that order, and deletes what it had printed before and no longer does.
func (f *Follower) generate() error {
	module, err := mooring.ModuleURL(f.env)
	if err != nil {
		return err
	}
	stdout, stderr, code, err := mooring.Command{Kubeconfig: f.Cluster.Kubeconfig}.Run(f.env, "generate", "--from-cluster", "--wasm", module)
	// A conformance suite has many objects with errors, for which the command generates nothing and exits with this code.
	const partlyGenerated = 3
	if err != nil || code != 0 && code != partlyGenerated {
		return fmt.Errorf("mooring generate: exit code %d, %w\n%s", code, err, stderr)
	}
	objects, err := kube.ReadYAML(strings.NewReader(stdout))
	if err != nil {
		return err
	}
	old := map[string]*kube.Object{}
	for _, obj := range f.generated {
		old[kube.Describe(obj)] = obj
	}
	for i, obj := range objects {
		if was := old[kube.Describe(obj)]; was != nil && reflect.DeepEqual(was.Object, obj.Object) {
			objects[i] = was
			continue
		}
		if _, err := f.Cluster.Kube.Apply(obj); err != nil {
			return fmt.Errorf("%s: %w", kube.Describe(obj), err)
		}
		f.ever[kube.Describe(obj)] = true
	}
	for _, obj := range mooring.RemovalOrder(f.generated) {
		if slices.ContainsFunc(objects, func(o *kube.Object) bool { return kube.Describe(o) == kube.Describe(obj) }) {
			continue
		}
		if err := f.Cluster.Kube.Delete(obj); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("%s: %w", kube.Describe(obj), err)
		}
	}
	f.generated = objects
	return nil
}

// missing is a generated object that a gateway lacks; without an object, the gateway is not ready.
type missing struct {
	proxy  *proxy.Proxy
	object *kube.Object
}

// missing returns what the gateways lack of what is generated, without what they did not accept in time before.
func (f *Follower) missing() map[missing]error {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := map[missing]error{}
	for _, p := range f.manager.Proxies() {
		if err := p.Envoy.Ready(); err != nil {
			if what := (missing{p, nil}); !f.ignored[what] {
				found[what] = fmt.Errorf("%s: %w", p, err)
			}
			continue
		}
		for _, obj := range f.generated {
			if what := (missing{p, obj}); !f.ignored[what] {
				if err := f.lacks(p, obj); err != nil {
					found[what] = fmt.Errorf("%s, %s: %w", p, kube.Describe(obj), err)
				}
			}
		}
	}
	return found
}

func (f *Follower) lacks(p *proxy.Proxy, obj *kube.Object) error {
	switch {
	case mooring.IsRoute(obj):
		return mooring.HasSessionRoutes(f.Cluster.Kube, p, obj)
	case mooring.Attached(obj, p):
		return mooring.Serves(p, obj)
	default:
		return nil
	}
}

func (f *Follower) syncWorkers() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.manager.Proxies() {
		if err := p.Envoy.SyncWorkers(); err != nil {
			return err
		}
	}
	return nil
}

// Settler answers a request after Settle, with its error if there is one.
func (f *Follower) Settler(withMooring bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := f.Settle(withMooring); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
}

// Generated counts the objects that Mooring has generated since the start, by kind.
func (f *Follower) Generated() map[string]int {
	f.settling.Lock()
	defer f.settling.Unlock()
	counts := map[string]int{}
	for obj := range f.ever {
		counts[strings.SplitN(obj, " ", 2)[0]]++
	}
	return counts
}
