package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// An Object is a Kubernetes object of any kind.
type Object = unstructured.Unstructured

// kube is the little of kubectl that the rig needs: every object goes in by server-side apply, whatever its kind.
type kube struct {
	rest    *rest.Config
	dynamic dynamic.Interface
	mapper  *restmapper.DeferredDiscoveryRESTMapper
}

func newKube(host, token string) (*kube, error) {
	config := &rest.Config{
		Host:        host,
		BearerToken: token,
		// The API server signs its own certificate anew in each run and is reached over the loopback device only.
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
	return &kube{rest: config, dynamic: dyn, mapper: mapper}, nil
}

// resource finds where an object of this kind lives; namespace is ignored for cluster-wide kinds.
func (k *kube) resource(gvk schema.GroupVersionKind, namespace string) (dynamic.ResourceInterface, error) {
	mapping, err := k.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", gvk, err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return k.dynamic.Resource(mapping.Resource), nil
	}
	return k.dynamic.Resource(mapping.Resource).Namespace(namespace), nil
}

// namespaced says whether objects of this kind live in a namespace.
func (k *kube) namespaced(gvk schema.GroupVersionKind) (bool, error) {
	mapping, err := k.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return false, fmt.Errorf("%s: %w", gvk, err)
	}
	return mapping.Scope.Name() == meta.RESTScopeNameNamespace, nil
}

// apply is `kubectl apply --server-side --force-conflicts`; with a subresource, for example status, it applies that.
func (k *kube) apply(obj *Object, subresources ...string) (*Object, error) {
	return k.send(obj, nil, subresources...)
}

// check is apply with --dry-run=server: every check of the server's, and nothing is kept.
func (k *kube) check(obj *Object) error {
	_, err := k.send(obj, []string{metav1.DryRunAll})
	return err
}

func (k *kube) send(obj *Object, dryRun []string, subresources ...string) (*Object, error) {
	res, err := k.resource(obj.GroupVersionKind(), obj.GetNamespace())
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
		// As kubectl does; otherwise the server quietly drops fields that it does not know.
		FieldValidation: metav1.FieldValidationStrict,
	}
	return res.Patch(context.Background(), obj.GetName(), types.ApplyPatchType, body, options, subresources...)
}

// judge is `kubectl create --dry-run=server`, which says what kubectl users get to read; what apply says of unknown fields
// is worded otherwise.
func (k *kube) judge(obj *Object) error {
	res, err := k.resource(obj.GroupVersionKind(), obj.GetNamespace())
	if err != nil {
		return err
	}
	_, err = res.Create(context.Background(), obj, metav1.CreateOptions{
		DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict,
	})
	return err
}

func (k *kube) get(gvk schema.GroupVersionKind, namespace, name string) (*Object, error) {
	res, err := k.resource(gvk, namespace)
	if err != nil {
		return nil, err
	}
	return res.Get(context.Background(), name, metav1.GetOptions{})
}

func (k *kube) patch(gvk schema.GroupVersionKind, namespace, name string, as types.PatchType, patch string) (*Object, error) {
	return k.patchAs("", gvk, namespace, name, as, patch)
}

func (k *kube) patchAs(
	manager string, gvk schema.GroupVersionKind, namespace, name string, as types.PatchType, patch string,
) (*Object, error) {
	res, err := k.resource(gvk, namespace)
	if err != nil {
		return nil, err
	}
	return res.Patch(context.Background(), name, as, []byte(patch), metav1.PatchOptions{FieldManager: manager})
}

func (k *kube) delete(obj *Object) error {
	res, err := k.resource(obj.GroupVersionKind(), obj.GetNamespace())
	if err != nil {
		return err
	}
	now := int64(0) // a Pod would otherwise wait for a kubelet, which this cluster has not
	return res.Delete(context.Background(), obj.GetName(), metav1.DeleteOptions{GracePeriodSeconds: &now})
}

// typed turns a Go API type into an Object.
func typed(apiVersion, kind string, v any) (*Object, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(v)
	if err != nil {
		return nil, err
	}
	obj := &Object{Object: content}
	obj.SetAPIVersion(apiVersion)
	obj.SetKind(kind)
	// A zero creationTimestamp or status would claim fields that belong to the server.
	unstructured.RemoveNestedField(obj.Object, "metadata", "creationTimestamp")
	unstructured.RemoveNestedField(obj.Object, "status")
	return obj, nil
}

// into turns an Object into a Go API type.
func into(obj *Object, v any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, v)
}

// readYAML reads every document, and every item of a List.
func readYAML(r io.Reader) ([]*Object, error) {
	var objects []*Object
	decoder := yaml.NewYAMLOrJSONDecoder(r, 4096)
	for {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		if len(raw) == 0 || string(raw) == "null" {
			continue // a document with nothing but comments
		}
		obj := &Object{}
		if err := obj.UnmarshalJSON(raw); err != nil {
			return nil, err
		}
		if !obj.IsList() {
			objects = append(objects, obj)
			continue
		}
		err := obj.EachListItem(func(item runtime.Object) error {
			objects = append(objects, item.(*Object))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
}

// readDir reads the .yaml files of a folder, in the order of their names.
func readDir(dir string) ([]*Object, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no .yaml file in %s", dir)
	}
	var objects []*Object
	for _, file := range files {
		more, err := readFile(file)
		if err != nil {
			return nil, err
		}
		objects = append(objects, more...)
	}
	return objects, nil
}

func readFile(file string) ([]*Object, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	objects, err := readYAML(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return objects, nil
}

// applyOrder puts namespaces before what is in them, and Deployments and Gateways before the Services that the rig
// changes if they select a gateway.
func applyOrder(obj *Object) int {
	switch obj.GetKind() {
	case "Namespace", "Node":
		return 0
	case "Deployment", "Gateway":
		return 1
	default:
		return 2
	}
}

// describe names an object in messages.
func describe(obj *Object) string {
	return strings.TrimPrefix(fmt.Sprintf("%s %s/%s", obj.GetKind(), obj.GetNamespace(), obj.GetName()), "/")
}
