//go:build conformance

package local

import (
	"cmp"
	"fmt"
	"net/http"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	httputils "sigs.k8s.io/gateway-api/conformance/utils/http"
	"sigs.k8s.io/gateway-api/conformance/utils/kubernetes"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

// ownRequests replace tests that check only status, or first check status in such detail that it would have to be invented. They go to
// the manifests of the test: a route that is not accepted must not be served, and one that is accepted must be.
var ownRequests = map[string][]gatewayRequests{
	"GatewayWithAttachedRoutes": {
		{gateway: "gateway-with-one-attached-route", requests: []request{{backend: "infra-backend-v1"}}},
		{gateway: "gateway-with-two-attached-routes", requests: []request{
			{host: "foo.example.com", backend: "infra-backend-v1"},
			{host: "not-accepted.test.com"},
		}},
	},
	"GatewayWithAttachedRoutesWithPort8080": {
		{gateway: "gateway-with-two-listeners-and-one-attached-route", listener: "http", requests: []request{{backend: "infra-backend-v1"}}},
		{gateway: "gateway-with-two-listeners-and-one-attached-route", listener: "http-unattached", requests: []request{{}}},
	},
	"HTTPRouteInvalidCrossNamespaceParentRef":             {{gateway: "same-namespace", requests: []request{{}}}},
	"HTTPRouteInvalidParentRefNotMatchingListenerPort":    {{gateway: "same-namespace", requests: []request{{}}}},
	"HTTPRouteInvalidParentRefNotMatchingSectionName":     {{gateway: "same-namespace", requests: []request{{}}}},
	"HTTPRouteInvalidParentRefSectionNameNotMatchingPort": {{gateway: "gateway-with-one-not-matching-port-and-section-name-route", requests: []request{{}}}},
	"HTTPRouteObservedGenerationBump":                     {{gateway: "same-namespace", requests: []request{{backend: "infra-backend-v1"}}}},
	"ListenerSetAllowedRoutesNamespaces": {{gateway: "gateway-with-listener-sets-test-allowed-routes", requests: []request{
		{host: "listener-set-listener-allowed-routes-all.com", path: "/route-in-same-namespace", backend: "infra-backend-v1"},
		{host: "listener-set-listener-allowed-routes-same.com", path: "/route-in-same-namespace", backend: "infra-backend-v1"},
		{host: "listener-set-listener-allowed-routes-same.com", path: "/route-in-selected-namespace"},
		{host: "listener-set-listener-allowed-routes-selector.com", path: "/route-in-same-namespace"},
		{host: "listener-set-listener-allowed-routes-selector.com", path: "/route-not-in-selected-namespace"},
		{host: "listener-set-listener-allowed-routes-cross-ns-same.com", path: "/route-in-gateway-namespace"},
	}}},
	"ListenerSetDualParentRefIndependence": {{gateway: "gateway-dual-parentref", requests: []request{
		{host: "gw-dual.com", path: "/dualboth", backend: "infra-backend-v1"},
		{host: "ls-dual.com", path: "/dualboth", backend: "infra-backend-v1"},
		{host: "ls-dual.com", path: "/dualone", backend: "infra-backend-v2"},
		{host: "gw-dual.com", path: "/dualone"},
	}}},
	"ListenerSetGatewayParentSectionNameNotFound": {{gateway: "gateway-section-name", requests: []request{
		{host: "ls-section-name.com", path: "/goodsection", backend: "infra-backend-v1"},
		{host: "gw-section.com", path: "/badsection"},
	}}},
	"ListenerSetHTTPRouting": {{gateway: "gateway-with-listener-sets-http-routing", requests: []request{
		{host: "gateway-listener-2.com", path: "/route", backend: "infra-backend-v1"},
		{host: "listener-set-http-routing-2-listener-2.com", path: "/route", backend: "infra-backend-v1"},
		{host: "gateway-listener-1.com", path: "/gateway-route", backend: "infra-backend-v2"},
		{host: "listener-set-http-routing-1-listener-1.com", path: "/gateway-route"},
		{host: "listener-set-http-routing-1-listener-2.com", path: "/listener-set-http-routing-1-route", backend: "infra-backend-v2"},
		{host: "gateway-listener-1.com", path: "/listener-set-http-routing-1-route"},
		{host: "listener-set-http-routing-2-listener-1.com", path: "/listener-set-http-routing-1-route"},
		{host: "listener-set-http-routing-1-listener-1.com", path: "/listener-set-http-routing-1-section-route", backend: "infra-backend-v3"},
		{host: "listener-set-http-routing-1-listener-2.com", path: "/listener-set-http-routing-1-section-route"},
	}}},
}

// gatewayRequests are requests to one listener of a Gateway; without a name, to the first.
type gatewayRequests struct {
	gateway, listener string
	requests          []request
}

// A request has the path / unless it names another. Without a backend, the expected response is 404.
type request struct{ host, path, backend string }

// send sends requests in place of a test.
func send(t *testing.T, s *suite.ConformanceTestSuite, own []gatewayRequests) {
	for _, to := range own {
		name := types.NamespacedName{Namespace: suite.InfrastructureNamespace, Name: to.gateway}
		gateway := kubernetes.NewGatewayRef(name)
		if to.listener != "" {
			gateway = kubernetes.NewGatewayRef(name, to.listener)
		}
		address, err := kubernetes.WaitForGatewayAddress(t, s.Client, s.TimeoutConfig, gateway)
		if err != nil {
			t.Fatal(err)
		}
		for _, request := range to.requests {
			t.Run(fmt.Sprintf("%s %s %+v", to.gateway, to.listener, request), func(t *testing.T) {
				expected := httputils.ExpectedResponse{
					Request:   httputils.Request{Host: request.host, Path: cmp.Or(request.path, "/")},
					Backend:   request.backend,
					Namespace: suite.InfrastructureNamespace,
				}
				if request.backend == "" {
					expected.Response.StatusCodes = []int{http.StatusNotFound}
				}
				httputils.MakeRequestAndExpectEventuallyConsistentResponse(t, s.RoundTripper, s.TimeoutConfig, address, expected)
			})
		}
	}
}
