package local

import (
	"fmt"
	"net/http"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	asks "sigs.k8s.io/gateway-api/conformance/utils/http"
	"sigs.k8s.io/gateway-api/conformance/utils/kubernetes"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

// questions are requests for the manifests of tests that ask only for status: a route that is not accepted must not be served,
// and one that is accepted must be.
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
}

// A question is a request to a Gateway, and the Service that answers. Without a listener it goes to the first, without a
// backend the answer is 404.
type question struct{ gateway, listener, host, backend string }

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
				Request:   asks.Request{Host: question.host, Path: "/"},
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
