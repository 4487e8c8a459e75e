package scenario

import (
	"fmt"
	"path/filepath"
	"slices"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/proxy"
)

// defaultWorkers is the number of worker threads of a proxy, unless WithWorkers sets another: more than one, because each balances
// load for itself.
const defaultWorkers = 2

type options struct {
	release    string
	dir        string   // the scenario's own folder of testdata
	examples   []string // folders and files of examples/
	manifests  []string // more folders of testdata
	namespace  string
	unique     bool
	exclusive  bool
	ambient    bool
	own        bool
	proxy      proxy.Options
	rejections bool
}

// An Option changes how a scenario starts.
type Option func(*Rig, *options)

// WithGatewayAPI chooses the Gateway API release whose definitions are installed, for example cluster.GatewayAPI12. Each release has its
// own control plane, which takes some ten seconds to start the first time. The default is cluster.GatewayAPI15.
func WithGatewayAPI(release string) Option { return func(_ *Rig, o *options) { o.release = release } }

// WithManifests adds the YAML of other folders of testdata.
func WithManifests(folders ...string) Option {
	return func(r *Rig, o *options) {
		for _, folder := range folders {
			o.manifests = append(o.manifests, filepath.Join(r.Env.Testdata, folder))
		}
	}
}

// WithNamespace puts the scenario into this namespace. The default is the scenario's name.
func WithNamespace(namespace string) Option {
	return func(_ *Rig, o *options) { o.namespace = namespace }
}

// WithUniqueNamespace puts the scenario into a namespace that no other scenario has, so that scenarios of the same YAML can run at the
// same time. The YAML must not name a namespace.
func WithUniqueNamespace() Option { return func(_ *Rig, o *options) { o.unique = true } }

// WithExclusiveControlPlane keeps all other scenarios off the control plane, for a test that restarts parts of it.
func WithExclusiveControlPlane() Option { return func(_ *Rig, o *options) { o.exclusive = true } }

// WithOwnControlPlane runs the scenario on a control plane of its own, which ends with the test, for a test that changes what all share, such
// as definitions. It takes some ten seconds to start.
func WithOwnControlPlane() Option { return func(_ *Rig, o *options) { o.own = true } }

// WithExample adds the YAML of folders or files of examples/, without the Pods and EndpointSlices that an example has for a single
// machine. The scenario's own folder has the pods. ApplyFile looks for files in these folders too.
func WithExample(paths ...string) Option {
	return func(r *Rig, o *options) {
		for _, path := range paths {
			o.examples = append(o.examples, r.Env.RepositoryFile(filepath.Join("examples", path)))
		}
	}
}

// WithWorkers sets the number of worker threads of each proxy. The default is 2.
func WithWorkers(n int) Option { return func(_ *Rig, o *options) { o.proxy.Workers = n } }

// WithGatewayEnv adds NAME=value to the environment of each proxy: gateways, sidecars and waypoints.
func WithGatewayEnv(variables ...string) Option {
	return func(_ *Rig, o *options) { o.proxy.Env = append(o.proxy.Env, variables...) }
}

// WithAmbientMesh runs the scenario on the control plane that knows the ambient mesh, which waypoints need. It takes some ten seconds to start
// the first time.
func WithAmbientMesh() Option { return func(_ *Rig, o *options) { o.ambient = true } }

// WithIstioAgent lets Istio's own agent start each proxy, from Istio's own bootstrap, and stand between the proxy and istiod. Without it,
// the rig writes the bootstrap.
func WithIstioAgent() Option { return func(_ *Rig, o *options) { o.proxy.Agent = true } }

// WithRejections is for a test in which Envoy is to reject configuration. Without it, a rejection fails the test.
func WithRejections() Option { return func(_ *Rig, o *options) { o.rejections = true } }

func (r *Rig) options(name string, opts []Option) *options {
	o := &options{
		release: cluster.GatewayAPI15, dir: filepath.Join(r.Env.Testdata, name),
		proxy: proxy.Options{Workers: defaultWorkers}, namespace: name,
	}
	for _, opt := range opts {
		opt(r, o)
	}
	if o.unique {
		o.namespace = fmt.Sprintf("%s-%d", name, r.lastNamespace.Add(1))
	}
	return o
}

// read reads the objects that are applied at the start.
func (o *options) read() ([]*kube.Object, error) {
	var objects []*kube.Object
	for _, path := range o.examples {
		read := kube.ReadDir
		if filepath.Ext(path) == ".yaml" {
			read = kube.ReadFile
		}
		more, err := read(path)
		if err != nil {
			return nil, err
		}
		objects = append(objects, more...)
	}
	objects = slices.DeleteFunc(objects, func(o *kube.Object) bool { return o.GetKind() == "EndpointSlice" || o.GetKind() == "Pod" })
	for _, dir := range append(o.manifests, o.dir) {
		more, err := kube.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		objects = append(objects, more...)
	}
	return objects, nil
}
