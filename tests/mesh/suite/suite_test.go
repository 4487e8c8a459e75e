//go:build mesh

// Package suite runs Gateway API's own conformance suite on the rig. It is a separate test program, because it fails if one of its tests
// fails; scenarios/conformance_suite_test.go runs it and asserts the results.
package suite

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	v1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/apis/v1alpha2"
	"sigs.k8s.io/gateway-api/apis/v1alpha3"
	xv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/config"
	"sigs.k8s.io/gateway-api/conformance/utils/roundtripper"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"

	"istio.io/istio/pilot/pkg/config/kube/gateway"
)

const usableAddress = "infra-backend-v1.gateway-conformance-infra.svc.cluster.local"

func TestConformance(t *testing.T) {
	settler := newSettler(t)
	kubeconfig, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig.QPS = -1
	kubeconfig.Wrap(settler.noteWrites)
	c, err := client.New(kubeconfig, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, install := range []func() error{
		func() error { return v1.Install(c.Scheme()) },
		func() error { return v1alpha2.Install(c.Scheme()) },
		func() error { return v1alpha3.Install(c.Scheme()) },
		func() error { return xv1alpha1.Install(c.Scheme()) },
		func() error { return apiextensionsv1.AddToScheme(c.Scheme()) },
	} {
		if err := install(); err != nil {
			t.Fatal(err)
		}
	}
	clientset, err := kubernetes.NewForConfig(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	timeouts := config.DefaultTimeoutConfig()
	timeouts.MaxTimeToConsistency *= 2     // the rig's pods and gateways share the machine with the control planes
	timeouts.NamespacesMustBeReady /= 3    // there are no Nodes or images to wait for
	timeouts.GatewayMustHaveCondition /= 2 // likewise
	s, err := suite.NewConformanceTestSuite(suite.ConformanceOptions{
		ConfigurableOptions: suite.ConfigurableOptions{
			GatewayClassName:     "istio",
			CleanupTestResources: true,
			SupportedFeatures:    claimed(),
			TimeoutConfig:        timeouts,
			AllowCRDsMismatch:    true, // the definitions are of a later patch release
			// As in Istio's own run of the suite.
			UsableNetworkAddresses:   []v1.GatewaySpecAddress{{Type: new(v1.HostnameAddressType), Value: usableAddress}},
			UnusableNetworkAddresses: []v1.GatewaySpecAddress{{Type: new(v1.HostnameAddressType), Value: "foo"}},
		},
		Client: c, Clientset: clientset, RestConfig: kubeconfig,
		RoundTripper:    &httpClient{roundtripper.DefaultRoundTripper{TimeoutConfig: timeouts}, settler},
		GRPCClient:      &grpcClient{settler},
		WebSocketDialer: &webSocketDialer{settler},
		ManifestFS:      manifests(),
	})
	if err != nil {
		t.Fatal(err)
	}
	chosen := chosen()
	s.Setup(t, chosen)
	failed := run(t, s, "first", chosen)
	// With many tests at a time on a small machine, istiod can be late, or lose a status to a concurrent write. A real failure repeats.
	run(t, s, "again", failed)
}

// run runs tests as subtests of a group, and returns those that failed.
func run(t *testing.T, s *suite.ConformanceTestSuite, group string, chosen []suite.ConformanceTest) []suite.ConformanceTest {
	var mu sync.Mutex
	var failed []suite.ConformanceTest
	noting := slices.Clone(chosen)
	for i, test := range chosen {
		noting[i].Test = func(t *testing.T, s *suite.ConformanceTestSuite) {
			t.Cleanup(func() {
				if t.Failed() {
					mu.Lock()
					defer mu.Unlock()
					failed = append(failed, test)
				}
			})
			test.Test(t, s)
		}
	}
	t.Run(group, func(t *testing.T) {
		if err := s.Run(t, noting); err != nil {
			t.Error(err)
		}
	})
	return failed
}

// claimed returns the features that Istio claims for gateways.
func claimed() []features.FeatureName {
	mesh := features.SetsToNamesSet(features.MeshCoreFeatures, features.MeshExtendedFeatures)
	return features.SetsToNamesSet(gateway.SupportedFeatures).Difference(mesh).UnsortedList()
}

// chosen returns the tests of Gateways, HTTPRoutes and GRPCRoutes. The suite skips those that need a feature that Istio does not claim.
func chosen() []suite.ConformanceTest {
	others := []features.FeatureName{features.SupportTLSRoute, features.SupportTCPRoute, features.SupportUDPRoute, features.SupportMesh}
	only := strings.Fields(os.Getenv("SUITE_TESTS"))
	return slices.DeleteFunc(slices.Clone(tests.ConformanceTests), func(test suite.ConformanceTest) bool {
		isOther := slices.ContainsFunc(test.Features, func(f features.FeatureName) bool { return slices.Contains(others, f) })
		return isOther || len(only) > 0 && !slices.Contains(only, test.ShortName)
	})
}
