//go:build mesh

package suite

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"strings"

	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/yaml"
)

// manifests returns the manifests of the suite, with policies if SUITE_POLICIES is set.
func manifests() []fs.FS {
	if os.Getenv("SUITE_POLICIES") == "" {
		return []fs.FS{&conformance.Manifests}
	}
	return []fs.FS{withPolicies{&conformance.Manifests}}
}

// withPolicies gives every route a sticky CanaryPolicy, every second rule of it its own session, and some Services a session
// policy.
type withPolicies struct{ fs.FS }

func (w withPolicies) ReadFile(name string) ([]byte, error) {
	text, err := fs.ReadFile(w.FS, name)
	if err != nil {
		return nil, err
	}
	var documents []string
	for _, document := range strings.Split("\n"+string(text), "\n---") {
		more, err := addPolicies(document)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		documents = append(documents, more...)
	}
	return []byte(strings.Join(documents, "\n---\n")), nil
}

type object = map[string]any

// canaryCookie is the cookie of the CanaryPolicies; those of session policies have their default names.
const canaryCookie = "mooring-canary"

func addPolicies(document string) ([]string, error) {
	var obj object
	if err := yaml.Unmarshal([]byte(document), &obj); err != nil {
		return nil, err
	}
	metadata, _ := obj["metadata"].(object)
	name, _ := metadata["name"].(string)
	switch kind, _ := obj["kind"].(string); kind {
	case "HTTPRoute", "GRPCRoute":
		if err := addSessions(obj, name); err != nil {
			return nil, err
		}
		return marshal(obj, object{
			"apiVersion": "mooring.dev/v1alpha1", "kind": "CanaryPolicy",
			"metadata": object{"name": strings.ToLower(kind) + "-" + name, "namespace": metadata["namespace"]},
			"spec": object{
				"targetRef": object{"group": "gateway.networking.k8s.io", "kind": kind, "name": name},
				"sticky":    object{"type": "Cookie", "cookie": object{"name": canaryCookie}},
			},
		})
	case "Service":
		if name != "infra-backend-v3" && name != "web-backend" {
			return []string{document}, nil
		}
		policy, err := marshal(object{
			"apiVersion": "gateway.networking.x-k8s.io/v1alpha1", "kind": "XBackendTrafficPolicy",
			"metadata": object{"name": name, "namespace": metadata["namespace"]},
			"spec": object{
				"targetRefs":         []object{{"group": "", "kind": "Service", "name": name}},
				"sessionPersistence": object{"type": "Cookie"},
			},
		})
		return append([]string{document}, policy...), err
	default:
		return []string{document}, nil
	}
}

// addSessions begins with the first or the second rule, depending on the route's name, so that routes of one rule are of both kinds.
func addSessions(route object, name string) error {
	spec, _ := route["spec"].(object)
	rules, _ := spec["rules"].([]any)
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(name))
	for i, rule := range rules {
		rule, ok := rule.(object)
		if !ok {
			return errors.New("a rule that is no object")
		}
		if (uint32(i)+hash.Sum32())%2 == 0 {
			rule["sessionPersistence"] = object{"type": "Cookie"}
		}
	}
	return nil
}

func marshal(objects ...object) ([]string, error) {
	var documents []string
	for _, obj := range objects {
		text, err := yaml.Marshal(obj)
		if err != nil {
			return nil, err
		}
		documents = append(documents, string(text))
	}
	return documents, nil
}
