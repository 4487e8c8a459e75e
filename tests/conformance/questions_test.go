//go:build conformance

package local

import (
	"cmp"
	"fmt"
	"net/http"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	asks "sigs.k8s.io/gateway-api/conformance/utils/http"
	"sigs.k8s.io/gateway-api/conformance/utils/kubernetes"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

// questions are requests for the manifests of tests that ask only for status, or first for status in such detail that it would have
// to be made up: a route that is not accepted must not be served, and one that is accepted must be.
var questions = map[string][]question{
	"GatewayWithAttachedRoutes": {
		{gateway: "gateway-with-one-attached-route", backend: "infra-backend-v1"},
		{gateway: "gateway-with-two-attached-routes", host: "foo.example.com", backend: "infra-backend-v1"},
		{gateway: "gateway-with-two-attached-routes", host: "not-accepted.test.com"},
	},
	"GatewayWithAttachedRoutesWithPort8080": {
		{gateway: "gateway-with-two-listeners-and-one-attached-route", listener: "http", backend: "infra-backend-v1"},
		{gateway: "gateway-with-two-listeners-and-one-attached-route", listener: "http-unattached"},
	},
	"HTTPRouteInvalidCrossNamespaceParentRef":             {{gateway: "same-namespace"}},
	"HTTPRouteInvalidParentRefNotMatchingListenerPort":    {{gateway: "same-namespace"}},
	"HTTPRouteInvalidParentRefNotMatchingSectionName":     {{gateway: "same-namespace"}},
	"HTTPRouteInvalidParentRefSectionNameNotMatchingPort": {{gateway: "gateway-with-one-not-matching-port-and-section-name-route"}},
	"HTTPRouteObservedGenerationBump":                     {{gateway: "same-namespace", backend: "infra-backend-v1"}},
	"ListenerSetAllowedRoutesNamespaces": of("gateway-with-listener-sets-test-allowed-routes", []question{
		{host: "listener-set-listener-allowed-routes-all.com", path: "/route-in-same-namespace", backend: "infra-backend-v1"},
		{host: "listener-set-listener-allowed-routes-same.com", path: "/route-in-same-namespace", backend: "infra-backend-v1"},
		{host: "listener-set-listener-allowed-routes-same.com", path: "/route-in-selected-namespace"},
		{host: "listener-set-listener-allowed-routes-selector.com", path: "/route-in-same-namespace"},
		{host: "listener-set-listener-allowed-routes-selector.com", path: "/route-not-in-selected-namespace"},
		{host: "listener-set-listener-allowed-routes-cross-ns-same.com", path: "/route-in-gateway-namespace"},
	}),
	"ListenerSetDualParentRefIndependence": of("gateway-dual-parentref", []question{
		{host: "gw-dual.com", path: "/dualboth", backend: "infra-backend-v1"},
		{host: "ls-dual.com", path: "/dualboth", backend: "infra-backend-v1"},
		{host: "ls-dual.com", path: "/dualone", backend: "infra-backend-v2"},
		{host: "gw-dual.com", path: "/dualone"},
	}),
	"ListenerSetGatewayParentSectionNameNotFound": of("gateway-section-name", []question{
		{host: "ls-section-name.com", path: "/goodsection", backend: "infra-backend-v1"},
		{host: "gw-section.com", path: "/badsection"},
	}),
	"ListenerSetHTTPRouting": of("gateway-with-listener-sets-http-routing", []question{
		{host: "gateway-listener-2.com", path: "/route", backend: "infra-backend-v1"},
		{host: "listener-set-http-routing-2-listener-2.com", path: "/route", backend: "infra-backend-v1"},
		{host: "gateway-listener-1.com", path: "/gateway-route", backend: "infra-backend-v2"},
		{host: "listener-set-http-routing-1-listener-1.com", path: "/gateway-route"},
		{host: "listener-set-http-routing-1-listener-2.com", path: "/listener-set-http-routing-1-route", backend: "infra-backend-v2"},
		{host: "gateway-listener-1.com", path: "/listener-set-http-routing-1-route"},
		{host: "listener-set-http-routing-2-listener-1.com", path: "/listener-set-http-routing-1-route"},
		{host: "listener-set-http-routing-1-listener-1.com", path: "/listener-set-http-routing-1-section-route", backend: "infra-backend-v3"},
		{host: "listener-set-http-routing-1-listener-2.com", path: "/listener-set-http-routing-1-section-route"},
	}),
}

// A question is a request to a Gateway, and the Service that answers. Without a listener it goes to the first, without a path to /,
// and without a backend the answer is 404.
type question struct{ gateway, listener, host, path, backend string }

// of are the same questions to one Gateway.
func of(gateway string, questions []question) []question {
	for i := range questions {
		questions[i].gateway = gateway
	}
	return questions
}

// ask sends the requests in place of what the test would do.
func ask(t *testing.T, s *suite.ConformanceTestSuite, questions []question) {
	for _, question := range questions {
		t.Run(fmt.Sprintf("%+v", question), func(t *testing.T) {
			name := types.NamespacedName{Namespace: suite.InfrastructureNamespace, Name: question.gateway}
			gateway := kubernetes.NewGatewayRef(name)
			if question.listener != "" {
				gateway = kubernetes.NewGatewayRef(name, question.listener)
			}
			address, err := kubernetes.WaitForGatewayAddress(t, s.Client, s.TimeoutConfig, gateway)
			if err != nil {
				t.Fatal(err)
			}
			expected := asks.ExpectedResponse{
				Request:   asks.Request{Host: question.host, Path: cmp.Or(question.path, "/")},
				Backend:   question.backend,
				Namespace: suite.InfrastructureNamespace,
			}
			if question.backend == "" {
				expected.Response.StatusCodes = []int{http.StatusNotFound}
			}
			asks.MakeRequestAndExpectEventuallyConsistentResponse(t, s.RoundTripper, s.TimeoutConfig, address, expected)
		})
	}
}
