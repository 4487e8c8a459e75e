// Package local runs the conformance tests of Gateway API against the local Envoy of `mooring generate --target envoy`.
//
// The Go module sigs.k8s.io/gateway-api/conformance has the tests, their manifests, their clients and their backends. This package plays
// the cluster: a store of objects, one Envoy for each Gateway, one process for each pod. No controller runs, so status.go fills in the
// status that the suite waits for, and assertions about status prove nothing.
package local

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Tools are the programs of a cluster.
type Tools struct {
	Mooring string // the command
	Module  string // mooring.wasm
	Envoy   string
	Echo    string // the backend of the suite, echo-basic
	Dir     string // where inputs, bootstraps and logs go
}

// A Cluster holds objects and serves them: before a read of its client or a request, Envoy gets everything that was written.
type Cluster struct {
	Client    client.Client        // for the suite
	Clientset kubernetes.Interface // the same, for the logs of pods
	Test      string               // the test that is running
	Sessions  bool                 // every Service has a policy with session persistence

	tools   Tools
	objects client.Client // without the interceptors
	pods    *pods
	logs    *httptest.Server

	mu       sync.Mutex
	stale    bool
	rounds   int
	gateways map[types.NamespacedName]*gateway
}

// NewCluster returns a cluster with one GatewayClass.
func NewCluster(tools Tools, class string) (*Cluster, error) {
	types := runtime.NewScheme()
	for _, install := range []func(*runtime.Scheme) error{scheme.AddToScheme, apiextensionsv1.AddToScheme, gatewayv1.Install} {
		if err := install(types); err != nil {
			return nil, err
		}
	}
	ours := &gatewayv1.GatewayClass{Spec: gatewayv1.GatewayClassSpec{ControllerName: ControllerName}}
	ours.Name = class
	objects := fake.NewClientBuilder().WithScheme(types).WithObjects(ours).Build()
	c := &Cluster{tools: tools, objects: objects, pods: newPods(tools), gateways: map[client.ObjectKey]*gateway{}}
	c.Client = interceptor.NewClient(objects, c.interceptors())
	c.logs = httptest.NewServer(c.pods)
	var err error
	c.Clientset, err = kubernetes.NewForConfig(&rest.Config{Host: c.logs.URL})
	return c, err
}

// Close ends all processes.
func (c *Cluster) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, gateway := range c.gateways {
		gateway.stop()
	}
	c.pods.stop()
	c.logs.Close()
}

// interceptors mark the cluster as stale after a write, and settle it before a read. The suite's applier reads unstructured objects
// between two writes; that does not settle.
func (c *Cluster) interceptors() interceptor.Funcs {
	return interceptor.Funcs{
		Create: func(ctx context.Context, objects client.WithWatch, object client.Object, options ...client.CreateOption) error {
			return c.written(objects.Create(ctx, object, options...))
		},
		Update: func(ctx context.Context, objects client.WithWatch, object client.Object, options ...client.UpdateOption) error {
			return c.written(objects.Update(ctx, object, options...))
		},
		Patch: func(ctx context.Context, objects client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
			return c.written(objects.Patch(ctx, object, patch, options...))
		},
		Delete: func(ctx context.Context, objects client.WithWatch, object client.Object, options ...client.DeleteOption) error {
			return c.written(objects.Delete(ctx, object, options...))
		},
		Get: func(ctx context.Context, objects client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			if _, applier := object.(*unstructured.Unstructured); !applier {
				if err := c.settle(ctx); err != nil {
					return err
				}
			}
			if err := objects.Get(ctx, key, object, options...); err != nil {
				return err
			}
			c.fillStatus(object)
			return nil
		},
		List: func(ctx context.Context, objects client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			if err := c.settle(ctx); err != nil {
				return err
			}
			if err := objects.List(ctx, list, options...); err != nil {
				return err
			}
			return meta.EachListItem(list, func(item runtime.Object) error {
				c.fillStatus(item.(client.Object))
				return nil
			})
		},
	}
}

func (c *Cluster) written(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stale = true
	return err
}

// settle brings pods and Envoys up to date with the objects.
func (c *Cluster) settle(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stale {
		return nil
	}
	c.stale = false
	var deployments appsv1.DeploymentList
	if err := c.objects.List(ctx, &deployments); err != nil {
		return err
	}
	if err := c.pods.run(ctx, c.objects, deployments.Items); err != nil {
		return err
	}
	input, err := c.input(ctx)
	if err != nil {
		return err
	}
	c.rounds++
	var working sync.WaitGroup
	for _, gateway := range c.gateways {
		working.Go(func() {
			// The requests show what is not served.
			if err := gateway.serve(input, c.rounds); err != nil {
				log.Printf("Gateway %s: %v", gateway.name, err)
			}
		})
	}
	working.Wait()
	return nil
}

// address returns the address of a Gateway.
func (c *Cluster) address(name types.NamespacedName) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gateway(name).address
}

// gateway returns the same gateway each time, so that it keeps its address.
func (c *Cluster) gateway(name types.NamespacedName) *gateway {
	known, ok := c.gateways[name]
	if !ok {
		known = &gateway{name: name, tools: c.tools, address: fmt.Sprintf("127.2.0.%d", len(c.gateways)+1)}
		c.gateways[name] = known
	}
	return known
}
