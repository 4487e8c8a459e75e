package rig

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The Gateway API releases a scenario can choose; each is a different set of custom resource definitions. Istio
// itself is the same for all of them.
const (
	GatewayAPI12 = "1.2" // BackendLBPolicy
	GatewayAPI15 = "1.5" // XBackendTrafficPolicy with idleTimeout; the default
	GatewayAPI16 = "1.6" // XBackendTrafficPolicy without idleTimeout
	GatewayAPI17 = "1.7" // XBackendTrafficPolicy with cookie and header
)

var crdResource = schema.GroupVersionResource{
	Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
}

// installCRDs installs Istio's definitions, Mooring's own and those of one Gateway API release, experimental channel.
func (c *Cluster) installCRDs() error {
	istio, err := readFile(filepath.Join(cache, "crds", "istio", "manifests/charts/base/files/crd-all.gen.yaml"))
	if err != nil {
		return err
	}
	gatewayAPI, err := readGatewayAPI(c.GatewayAPI)
	if err != nil {
		return err
	}
	own, err := readDir(filepath.Join(testdata, "..", "..", "..", "docs", "crds"))
	if err != nil {
		return err
	}
	return c.CreateCRDs(slices.Concat(istio, gatewayAPI, own))
}

func experimental(release string) string {
	return filepath.Join(cache, "crds", "gateway-api-"+release, "config/crd/experimental")
}

func readGatewayAPI(release string) ([]*Object, error) {
	files, err := filepath.Glob(filepath.Join(experimental(release), "gateway.*.yaml"))
	if err != nil {
		return nil, err
	}
	var objects []*Object
	for _, file := range files {
		// Its admission policy refuses definitions of older releases, such as BackendLBPolicy's.
		if strings.Contains(filepath.Base(file), "_vap_") {
			continue
		}
		more, err := readFile(file)
		if err != nil {
			return nil, err
		}
		objects = append(objects, more...)
	}
	if len(objects) == 0 {
		return nil, fmt.Errorf("Gateway API release %q: no definitions in %s", release, experimental(release))
	}
	return objects, nil
}

// CreateCRDs creates definitions that are not there yet and waits until the API server serves them.
func (c *Cluster) CreateCRDs(objects []*Object) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(4)
	for _, obj := range objects {
		group.Go(func() error {
			_, err := c.kube.dynamic.Resource(crdResource).Create(ctx, obj, metav1.CreateOptions{})
			if err != nil && !apierrors.IsAlreadyExists(err) {
				return fmt.Errorf("%s: %w", describe(obj), err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	// The last ones first: when they are served, the others are too, and each look costs.
	for _, obj := range slices.Backward(objects) {
		if err := c.awaitEstablished(ctx, obj.GetName()); err != nil {
			return err
		}
	}
	c.kube.mapper.Reset() // it had looked before the new kinds were there
	return nil
}

func (c *Cluster) awaitEstablished(ctx context.Context, name string) error {
	for {
		crd, err := c.kube.dynamic.Resource(crdResource).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range conditions(crd.Object) {
			if c.Type == "Established" && c.Status == "True" {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("custom resource definition %s is not established", name)
		case <-time.After(2 * pollFirst):
		}
	}
}
