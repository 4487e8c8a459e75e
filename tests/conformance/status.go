package local

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// ControllerName is the controller in whose name status is given.
const ControllerName gatewayv1.GatewayController = "mooring.dev/conformance"

// refused holds the conditions that a controller would set to another value than True, for the routes of one name in one test. The suite
// waits for them before it sends its requests.
var refused = map[routeOf]metav1.Condition{
	{"HTTPRouteHostnameIntersection", "no-intersecting-hosts"}:                          notAccepted(gatewayv1.RouteReasonNoMatchingListenerHostname),
	{"HTTPRouteInvalidBackendRefUnknownKind", "invalid-backend-ref-unknown-kind"}:       notResolved(gatewayv1.RouteReasonInvalidKind),
	{"HTTPRouteInvalidCrossNamespaceBackendRef", "invalid-cross-namespace-backend-ref"}: notResolved(gatewayv1.RouteReasonRefNotPermitted),
	{"HTTPRouteInvalidNonExistentBackendRef", "invalid-nonexistent-backend-ref"}:        notResolved(gatewayv1.RouteReasonBackendNotFound),
	{"HTTPRouteInvalidReferenceGrant", "reference-grant"}:                               notResolved(gatewayv1.RouteReasonRefNotPermitted),
	{"HTTPRoutePartiallyInvalidViaInvalidReferenceGrant", "invalid-reference-grant"}:    notResolved(gatewayv1.RouteReasonRefNotPermitted),
}

type routeOf struct{ test, route string }

func notAccepted(reason gatewayv1.RouteConditionReason) metav1.Condition {
	return metav1.Condition{Type: "Accepted", Status: metav1.ConditionFalse, Reason: string(reason)}
}

func notResolved(reason gatewayv1.RouteConditionReason) metav1.Condition {
	return metav1.Condition{Type: "ResolvedRefs", Status: metav1.ConditionFalse, Reason: string(reason)}
}

// fillStatus gives an object that is read the status for which the suite waits. It is independent of Mooring.
func (c *Cluster) fillStatus(object client.Object) {
	switch object := object.(type) {
	case *gatewayv1.GatewayClass:
		object.Status.Conditions = []metav1.Condition{positive("Accepted", object)}
	case *gatewayv1.Gateway:
		c.fillGateway(object)
	case *gatewayv1.HTTPRoute:
		object.Status.Parents = c.parents(object, object.Spec.ParentRefs)
	case *gatewayv1.GRPCRoute:
		object.Status.Parents = c.parents(object, object.Spec.ParentRefs)
	}
}

func (c *Cluster) fillGateway(gateway *gatewayv1.Gateway) {
	address := gatewayv1.IPAddressType
	gateway.Status = gatewayv1.GatewayStatus{
		Addresses:  []gatewayv1.GatewayStatusAddress{{Type: &address, Value: c.address(client.ObjectKeyFromObject(gateway))}},
		Conditions: []metav1.Condition{positive("Accepted", gateway), positive("Programmed", gateway)},
	}
	for _, listener := range gateway.Spec.Listeners {
		gateway.Status.Listeners = append(gateway.Status.Listeners, gatewayv1.ListenerStatus{
			Name:       listener.Name,
			Conditions: []metav1.Condition{positive("Accepted", gateway), positive("ResolvedRefs", gateway), positive("Programmed", gateway)},
		})
	}
}

func (c *Cluster) parents(route client.Object, references []gatewayv1.ParentReference) []gatewayv1.RouteParentStatus {
	conditions := []metav1.Condition{positive("Accepted", route), positive("ResolvedRefs", route)}
	other := refused[routeOf{c.Test, route.GetName()}]
	for i := range conditions {
		if conditions[i].Type == other.Type {
			conditions[i].Status, conditions[i].Reason = other.Status, other.Reason
		}
	}
	group, kind := gatewayv1.Group(gatewayv1.GroupName), gatewayv1.Kind("Gateway")
	var status []gatewayv1.RouteParentStatus
	for _, reference := range references {
		if reference.Group == nil {
			reference.Group = &group
		}
		if reference.Kind == nil {
			reference.Kind = &kind
		}
		status = append(status, gatewayv1.RouteParentStatus{
			ParentRef:      reference,
			ControllerName: ControllerName,
			Conditions:     conditions,
		})
	}
	return status
}

// positive returns a condition with the status True and its own name as the reason.
func positive(condition string, of client.Object) metav1.Condition {
	return metav1.Condition{
		Type:               condition,
		Status:             metav1.ConditionTrue,
		Reason:             condition,
		ObservedGeneration: of.GetGeneration(),
	}
}
