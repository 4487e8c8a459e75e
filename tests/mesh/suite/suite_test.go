// Package suite is Gateway API's own conformance suite, made to run on the rig. It is a program of its own, since it fails where a
// test fails; scenarios/gatewayapi_test.go runs it and judges the results.
package suite

import (
	"os"
	"slices"
	"strings"
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

func TestGatewayAPI(t *testing.T) {
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
	timeouts.MaxTimeToConsistency *= 2 // what the rig plays shares the machine with much else
	s, err := suite.NewConformanceTestSuite(suite.ConformanceOptions{
		ConfigurableOptions: suite.ConfigurableOptions{
			GatewayClassName:     "istio",
			CleanupTestResources: true,
			SupportedFeatures:    claimed(),
			TimeoutConfig:        timeouts,
			AllowCRDsMismatch:    true, // the definitions are of a later patch release
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
	if err := s.Run(t, chosen); err != nil {
		t.Error(err)
	}
}

// claimed are the features that Istio claims for gateways.
func claimed() []features.FeatureName {
	mesh := features.SetsToNamesSet(features.MeshCoreFeatures, features.MeshExtendedFeatures)
	return features.SetsToNamesSet(gateway.SupportedFeatures).Difference(mesh).UnsortedList()
}

// chosen are the tests of HTTPRoute and GRPCRoute; those that ask for a feature which Istio does not claim are skipped by the suite.
func chosen() []suite.ConformanceTest {
	only := strings.Fields(os.Getenv("SUITE_TESTS"))
	return slices.DeleteFunc(slices.Clone(tests.ConformanceTests), func(test suite.ConformanceTest) bool {
		isRoute := slices.Contains(test.Features, features.SupportHTTPRoute) || slices.Contains(test.Features, features.SupportGRPCRoute)
		isMesh := slices.Contains(test.Features, features.SupportMesh)
		return !isRoute || isMesh || len(only) > 0 && !slices.Contains(only, test.ShortName)
	})
}
