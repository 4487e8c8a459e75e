package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// An Object is a Kubernetes object of any kind.
type Object = unstructured.Unstructured

// Typed converts a Go API type to an Object, without fields that belong to the server.
func Typed(apiVersion, kind string, v any) (*Object, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(v)
	if err != nil {
		return nil, err
	}
	obj := &Object{Object: content}
	obj.SetAPIVersion(apiVersion)
	obj.SetKind(kind)
	unstructured.RemoveNestedField(obj.Object, "metadata", "creationTimestamp")
	unstructured.RemoveNestedField(obj.Object, "status")
	return obj, nil
}

// Into converts an Object to a Go API type, which v points to.
func Into(obj *Object, v any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, v)
}

// ReadYAML reads every document, and every item of a List.
func ReadYAML(r io.Reader) ([]*Object, error) {
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
			continue // a document of comments only
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

// ReadDir reads the .yaml files of a folder, in the order of their names.
func ReadDir(dir string) ([]*Object, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no .yaml file in %s", dir)
	}
	var objects []*Object
	for _, file := range files {
		more, err := ReadFile(file)
		if err != nil {
			return nil, err
		}
		objects = append(objects, more...)
	}
	return objects, nil
}

// ReadFile reads a file of YAML documents.
func ReadFile(file string) ([]*Object, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	objects, err := ReadYAML(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return objects, nil
}

// ApplyOrder ranks objects for applying: namespaces come before what is in them, and Deployments and Gateways before the Services
// that the rig changes if they select a gateway.
func ApplyOrder(obj *Object) int {
	switch obj.GetKind() {
	case "Namespace", "Node":
		return 0
	case "Deployment", "Gateway":
		return 1
	default:
		return 2
	}
}

// Describe names an object in messages: kind, namespace and name.
func Describe(obj *Object) string {
	return strings.TrimPrefix(fmt.Sprintf("%s %s/%s", obj.GetKind(), obj.GetNamespace(), obj.GetName()), "/")
}

// Key returns <namespace>/<name>.
func Key(obj *Object) string { return obj.GetNamespace() + "/" + obj.GetName() }

// Ref returns an object with nothing but its identity, for example to delete it.
func Ref(apiVersion, kind, namespace, name string) *Object {
	obj := &Object{}
	obj.SetAPIVersion(apiVersion)
	obj.SetKind(kind)
	obj.SetNamespace(namespace)
	obj.SetName(name)
	return obj
}
