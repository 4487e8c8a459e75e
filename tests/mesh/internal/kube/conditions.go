package kube

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A Condition is a condition in the status of an object.
type Condition struct {
	Type, Status, Reason, Message string
	// Observed is the generation of the object that the condition is about.
	Observed int64
}

func (c Condition) String() string {
	return fmt.Sprintf("%s=%s (%s) %s", c.Type, c.Status, c.Reason, c.Message)
}

// Conditions returns all conditions in the status of an object: its own, and those for each parent of a route, each ancestor of a
// policy and each listener of a Gateway.
func Conditions(obj *Object) []Condition {
	status, _, _ := unstructured.NestedMap(obj.Object, "status")
	found := ConditionsIn(status)
	for _, list := range []string{"parents", "ancestors", "listeners"} {
		entries, _, _ := unstructured.NestedSlice(status, list)
		for _, entry := range entries {
			if entry, ok := entry.(map[string]any); ok {
				found = append(found, ConditionsIn(entry)...)
			}
		}
	}
	return found
}

// ConditionsBy returns what a controller says about a policy, for all ancestors of the policy.
func ConditionsBy(policy *Object, controller string) []Condition {
	ancestors, _, _ := unstructured.NestedSlice(policy.Object, "status", "ancestors")
	var found []Condition
	for _, ancestor := range ancestors {
		if ancestor, ok := ancestor.(map[string]any); ok && ancestor["controllerName"] == controller {
			found = append(found, ConditionsIn(ancestor)...)
		}
	}
	return found
}

// ConditionsIn returns the conditions of one holder, such as an entry of status.parents.
func ConditionsIn(holder map[string]any) []Condition {
	list, _, _ := unstructured.NestedSlice(holder, "conditions")
	var found []Condition
	for _, entry := range list {
		entry, _ := entry.(map[string]any)
		text := func(key string) string {
			value, _ := entry[key].(string)
			return value
		}
		observed, _ := entry["observedGeneration"].(int64)
		found = append(found, Condition{
			Type: text("type"), Status: text("status"), Reason: text("reason"), Message: text("message"),
			Observed: observed,
		})
	}
	return found
}
