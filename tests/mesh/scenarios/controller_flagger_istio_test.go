//go:build mesh

package scenarios

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"mooring.dev/tests/mesh/internal/scenario"
)

// The same releases as in TestControllerFlaggerHTTPRoute, by a VirtualService, whose routes Flagger gives no name.
func TestControllerFlaggerVirtualService(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "ingressgateway", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys),
		scenario.WithExample("flagger/virtual-service/gateway.yaml"))
	deliver(t, s, s.Gateway(t, "ingressgateway"), "virtual-service", schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "virtualservices"})
}
