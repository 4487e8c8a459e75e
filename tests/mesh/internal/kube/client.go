// Package kube reads and writes Kubernetes objects of any kind.
package kube

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// A Client does the little of kubectl that the rig needs, for objects of any kind. It is safe for concurrent use.
type Client struct {
	// Config is how other clients reach the same API server.
	Config *rest.Config

	dynamic dynamic.Interface
	mapper  *restmapper.DeferredDiscoveryRESTMapper
}

// NewClient returns a client of the API server at host, which need not run yet.
func NewClient(host, token string) (*Client, error) {
	config := &rest.Config{
		Host:        host,
		BearerToken: token,
		// The API server signs its own certificate in each run and is reached over the loopback device only.
		TLSClientConfig: rest.TLSClientConfig{Insecure: true},
		QPS:             -1, // the default of five requests a second would be most of a test's time
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	disco, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(disco))
	return &Client{Config: config, dynamic: dyn, mapper: mapper}, nil
}

// resource returns the interface for objects of a kind; the namespace is ignored for cluster-scoped kinds.
func (c *Client) resource(gvk schema.GroupVersionKind, namespace string) (dynamic.ResourceInterface, error) {
	mapping, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", gvk, err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return c.dynamic.Resource(mapping.Resource), nil
	}
	return c.dynamic.Resource(mapping.Resource).Namespace(namespace), nil
}

// Namespaced reports whether objects of this kind have a namespace.
func (c *Client) Namespaced(gvk schema.GroupVersionKind) (bool, error) {
	mapping, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return false, fmt.Errorf("%s: %w", gvk, err)
	}
	return mapping.Scope.Name() == meta.RESTScopeNameNamespace, nil
}

// Apply is `kubectl apply --server-side --force-conflicts`, on the object or on a subresource such as status. It returns the object
// with the defaults of the server.
func (c *Client) Apply(obj *Object, subresources ...string) (*Object, error) {
	return c.send(obj, nil, subresources...)
}

// CheckApply is Apply with --dry-run=server: the server validates and stores nothing.
func (c *Client) CheckApply(obj *Object) error {
	_, err := c.send(obj, []string{metav1.DryRunAll})
	return err
}

func (c *Client) send(obj *Object, dryRun []string, subresources ...string) (*Object, error) {
	res, err := c.resource(obj.GroupVersionKind(), obj.GetNamespace())
	if err != nil {
		return nil, err
	}
	body, err := obj.MarshalJSON()
	if err != nil {
		return nil, err
	}
	force := true
	options := metav1.PatchOptions{
		FieldManager: "mesh-rig", Force: &force, DryRun: dryRun,
		// As kubectl does; otherwise the server drops fields that it does not know without an error.
		FieldValidation: metav1.FieldValidationStrict,
	}
	return res.Patch(context.Background(), obj.GetName(), types.ApplyPatchType, body, options, subresources...)
}

// Preview returns what an object would be if a field manager applied it.
func (c *Client) Preview(obj *Object, manager string) (*Object, error) {
	res, err := c.resource(obj.GroupVersionKind(), obj.GetNamespace())
	if err != nil {
		return nil, err
	}
	return res.Apply(context.Background(), obj.GetName(), obj,
		metav1.ApplyOptions{FieldManager: manager, Force: true, DryRun: []string{metav1.DryRunAll}})
}

// CheckCreate is `kubectl create --dry-run=server`. Its errors are the ones that users of kubectl read; those of CheckApply have
// other words for unknown fields.
func (c *Client) CheckCreate(obj *Object) error {
	res, err := c.resource(obj.GroupVersionKind(), obj.GetNamespace())
	if err != nil {
		return err
	}
	_, err = res.Create(context.Background(), obj, metav1.CreateOptions{
		DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict,
	})
	return err
}

// Create creates an object.
func (c *Client) Create(obj *Object) (*Object, error) {
	res, err := c.resource(obj.GroupVersionKind(), obj.GetNamespace())
	if err != nil {
		return nil, err
	}
	return res.Create(context.Background(), obj, metav1.CreateOptions{})
}

// CreateToken requests a token of a service account.
func (c *Client) CreateToken(namespace, account, audience string) (string, error) {
	request := &Object{Object: map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
		"metadata": map[string]any{"name": account, "namespace": namespace},
		"spec":     map[string]any{"audiences": []any{audience}},
	}}
	accounts := schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
	answer, err := c.dynamic.Resource(accounts).Namespace(namespace).
		Create(context.Background(), request, metav1.CreateOptions{}, "token")
	if err != nil {
		return "", err
	}
	token, _, err := unstructured.NestedString(answer.Object, "status", "token")
	return token, err
}

// Get reads an object.
func (c *Client) Get(gvk schema.GroupVersionKind, namespace, name string) (*Object, error) {
	res, err := c.resource(gvk, namespace)
	if err != nil {
		return nil, err
	}
	return res.Get(context.Background(), name, metav1.GetOptions{})
}

// List reads all objects of a resource, in all namespaces.
func (c *Client) List(resource schema.GroupVersionResource) ([]*Object, error) {
	list, err := c.dynamic.Resource(resource).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var objects []*Object
	for i := range list.Items {
		objects = append(objects, &list.Items[i])
	}
	return objects, nil
}

// Watch calls changed for every change of an object of a resource, until the context ends or the server closes the watch.
func (c *Client) Watch(ctx context.Context, resource schema.GroupVersionResource, changed func()) error {
	w, err := c.dynamic.Resource(resource).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for range w.ResultChan() {
		changed()
	}
	return nil
}

// A Patch is a change of one object.
type Patch struct {
	Kind            schema.GroupVersionKind
	Namespace, Name string
	Type            types.PatchType
	Body            string
	Manager         string // the field manager; empty for the default
	DryRun          bool   // the server stores nothing
	Subresource     string // such as status
}

// Patch changes an object and returns it.
func (c *Client) Patch(p Patch) (*Object, error) {
	res, err := c.resource(p.Kind, p.Namespace)
	if err != nil {
		return nil, err
	}
	options := metav1.PatchOptions{FieldManager: p.Manager}
	if p.DryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	var subresources []string
	if p.Subresource != "" {
		subresources = append(subresources, p.Subresource)
	}
	return res.Patch(context.Background(), p.Name, p.Type, []byte(p.Body), options, subresources...)
}

// Delete deletes an object without a grace period: a Pod would wait for a kubelet, which does not run here.
func (c *Client) Delete(obj *Object) error {
	res, err := c.resource(obj.GroupVersionKind(), obj.GetNamespace())
	if err != nil {
		return err
	}
	now := int64(0)
	return res.Delete(context.Background(), obj.GetName(), metav1.DeleteOptions{GracePeriodSeconds: &now})
}

// ForgetKinds makes the client ask the server again which kinds it has.
func (c *Client) ForgetKinds() { c.mapper.Reset() }
