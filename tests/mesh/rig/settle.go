package rig

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// settling is how long the gateways may take to serve by what has been generated. Some of it istiod leaves out, such as what is for
// a listener that it does not accept: the tests go on without that, and it is not waited for again.
const settling = 10 * time.Second

// Settle brings the cluster to rest: every Gateway has its Envoy. With Mooring, what it generates from the objects of this moment is
// applied, what it no longer generates is deleted, and the gateways serve by it.
func (f *Follower) Settle(mooring bool) error {
	f.settling.Lock()
	defer f.settling.Unlock()
	if err := f.look(); err != nil {
		return err
	}
	if mooring {
		if err := f.generate(); err != nil {
			return err
		}
	}
	var missing map[missing]error
	for deadline := time.Now().Add(settling); time.Now().Before(deadline); time.Sleep(2 * pollFirst) {
		if missing = f.missing(); len(missing) == 0 {
			return nil
		}
	}
	var failed []error
	for what, err := range missing {
		f.left[what] = true
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// generate applies what `mooring generate` prints, in that order, and deletes what it had printed before and no longer does.
func (f *Follower) generate() error {
	cmd := exec.Command(os.Getenv("MOORING"), "generate", "--from-cluster", "--wasm", "file://"+os.Getenv("MOORING_WASM"))
	cmd.Env = append(os.Environ(), "KUBECONFIG="+f.Cluster.Kubeconfig)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	// Something was left out: a conformance suite has many objects in which something is wrong.
	const restGenerated = 3
	if err := cmd.Run(); err != nil && (cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != restGenerated) {
		return fmt.Errorf("mooring generate: %w\n%s", err, errs.String())
	}
	objects, err := readYAML(&out)
	if err != nil {
		return err
	}
	old := map[string]*Object{}
	for _, obj := range f.mooring {
		old[describe(obj)] = obj
	}
	for i, obj := range objects {
		if was := old[describe(obj)]; was != nil && reflect.DeepEqual(was.Object, obj.Object) {
			objects[i] = was
			continue
		}
		if _, err := f.Cluster.kube.apply(obj); err != nil {
			return fmt.Errorf("%s: %w", describe(obj), err)
		}
		f.ever[describe(obj)] = true
	}
	for _, obj := range removalOrder(f.mooring) {
		if slices.ContainsFunc(objects, func(o *Object) bool { return describe(o) == describe(obj) }) {
			continue
		}
		if err := f.Cluster.kube.delete(obj); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("%s: %w", describe(obj), err)
		}
	}
	f.mooring = objects
	return nil
}

// A missing object is not in an Envoy, or the Envoy is not ready for any.
type missing struct {
	gateway *Gateway
	object  *Object
}

// missing is what the gateways lack of what is generated, without what they did not take in time before.
func (f *Follower) missing() map[missing]error {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := map[missing]error{}
	for _, g := range f.scenario.gateways {
		if _, err := g.admin("/ready"); err != nil {
			if what := (missing{g, nil}); !f.left[what] {
				found[what] = fmt.Errorf("gateway %s: %w", g.Name, err)
			}
			continue
		}
		for _, obj := range f.mooring {
			if what := (missing{g, obj}); !f.left[what] {
				if err := f.lacks(g, obj); err != nil {
					found[what] = fmt.Errorf("gateway %s, %s: %w", g.Name, describe(obj), err)
				}
			}
		}
	}
	return found
}

func (f *Follower) lacks(g *Gateway, obj *Object) error {
	switch {
	case isRoute(obj):
		return f.scenario.hasSessionRoutes(g, obj)
	case g.Namespace == obj.GetNamespace() && attached(obj, g):
		return g.has(obj)
	default:
		return nil
	}
}

// Settler answers a request when the cluster is at rest, or with the reason why it is not.
func (f *Follower) Settler(mooring bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := f.Settle(mooring); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
}

// Generated are numbers of the objects that Mooring has generated since the start, by kind.
func (f *Follower) Generated() map[string]int {
	f.settling.Lock()
	defer f.settling.Unlock()
	counts := map[string]int{}
	for obj := range f.ever {
		counts[strings.SplitN(obj, " ", 2)[0]]++
	}
	return counts
}
