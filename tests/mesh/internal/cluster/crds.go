package cluster

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/wait"
)

// The Gateway API releases a scenario can choose; each is a different set of custom resource definitions. Istio
// itself is the same for all of them.
const (
	GatewayAPI12 = "1.2" // BackendLBPolicy
	GatewayAPI15 = "1.5" // XBackendTrafficPolicy with idleTimeout; the default
	GatewayAPI16 = "1.6" // XBackendTrafficPolicy without idleTimeout
	GatewayAPI17 = "1.7" // XBackendTrafficPolicy with cookie and header
)

var crdKind = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}

// installCRDs installs Istio's definitions, Mooring's own and those of one Gateway API release, experimental channel.
func (c *Cluster) installCRDs() error {
	istio, err := kube.ReadFile(filepath.Join(c.env.CRDs("istio"), "manifests/charts/base/files/crd-all.gen.yaml"))
	if err != nil {
		return err
	}
	gatewayAPI, err := c.readGatewayAPI()
	if err != nil {
		return err
	}
	own, err := kube.ReadDir(c.env.RepositoryFile("deploy/crds"))
	if err != nil {
		return err
	}
	return c.CreateCRDs(slices.Concat(istio, gatewayAPI, own))
}

func (c *Cluster) readGatewayAPI() ([]*kube.Object, error) {
	folder := filepath.Join(c.env.CRDs("gateway-api-"+c.GatewayAPI), "config/crd/experimental")
	files, err := filepath.Glob(filepath.Join(folder, "gateway.*.yaml"))
	if err != nil {
		return nil, err
	}
	var objects []*kube.Object
	for _, file := range files {
		// Its admission policy refuses definitions of older releases, such as BackendLBPolicy's.
		if strings.Contains(filepath.Base(file), "_vap_") {
			continue
		}
		more, err := kube.ReadFile(file)
		if err != nil {
			return nil, err
		}
		objects = append(objects, more...)
	}
	if len(objects) == 0 {
		return nil, fmt.Errorf("Gateway API release %q: no definitions in %s", c.GatewayAPI, folder)
	}
	return objects, nil
}

// CreateCRDs creates the definitions that the API server lacks and waits until it serves all of them.
func (c *Cluster) CreateCRDs(objects []*kube.Object) error {
	var group errgroup.Group
	group.SetLimit(4)
	for _, obj := range objects {
		group.Go(func() error {
			_, err := c.Kube.Create(obj)
			if err != nil && !apierrors.IsAlreadyExists(err) {
				return fmt.Errorf("%s: %w", kube.Describe(obj), err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	// From the last to the first: when the last is served, the others usually are too, and each check costs time.
	for _, obj := range slices.Backward(objects) {
		if err := c.awaitEstablished(obj.GetName()); err != nil {
			return err
		}
	}
	c.Kube.ForgetKinds() // it asked before the new kinds existed
	return nil
}

func (c *Cluster) awaitEstablished(name string) error {
	return wait.Until("custom resource definition "+name+" is established", func() error {
		crd, err := c.Kube.Get(crdKind, "", name)
		if err != nil {
			return err
		}
		for _, c := range kube.Conditions(crd) {
			if c.Type == "Established" && c.Status == "True" {
				return nil
			}
		}
		return errors.New("no condition Established=True")
	})
}
