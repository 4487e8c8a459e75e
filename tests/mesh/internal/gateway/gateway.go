// Package gateway has gateways, and the load balancer in front of several.
package gateway

import (
	corev1 "k8s.io/api/core/v1"

	"mooring.dev/tests/mesh/internal/proxy"
)

// NameLabel is the label of a gateway's pods that names its Gateway.
const NameLabel = "gateway.networking.k8s.io/gateway-name"

// A Gateway is a proxy that plays the pod of a gateway Deployment. Its Ports are those of the Service: all Envoys share one network
// namespace, and istiod binds listeners of gateways to every address.
type Gateway struct {
	*proxy.Proxy
	// Template is that of the Deployment when it started.
	Template corev1.PodTemplateSpec
}
