package rig

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A Condition is one statement of a controller about an object.
type Condition struct {
	Type, Status, Reason, Message string
}

func (c Condition) String() string {
	return fmt.Sprintf("%s=%s (%s) %s", c.Type, c.Status, c.Reason, c.Message)
}

// Conditions are all conditions in the status of an object of the scenario's namespace: its own, and those for each
// parent of a route, each ancestor of a policy and each listener of a Gateway.
func (s *Scenario) Conditions(apiVersion, kind, name string) []Condition {
	s.t.Helper()
	return conditions(s.Get(apiVersion, kind, name).Object)
}

func conditions(object map[string]any) []Condition {
	status, _, _ := unstructured.NestedMap(object, "status")
	found := conditionsIn(status)
	for _, list := range []string{"parents", "ancestors", "listeners"} {
		entries, _, _ := unstructured.NestedSlice(status, list)
		for _, entry := range entries {
			if entry, ok := entry.(map[string]any); ok {
				found = append(found, conditionsIn(entry)...)
			}
		}
	}
	return found
}

func conditionsIn(holder map[string]any) []Condition {
	list, _, _ := unstructured.NestedSlice(holder, "conditions")
	var found []Condition
	for _, entry := range list {
		entry, _ := entry.(map[string]any)
		text := func(key string) string {
			value, _ := entry[key].(string)
			return value
		}
		found = append(found, Condition{
			Type: text("type"), Status: text("status"), Reason: text("reason"), Message: text("message"),
		})
	}
	return found
}
