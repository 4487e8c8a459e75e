//go:build conformance

package local

import (
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/config"
	"sigs.k8s.io/gateway-api/conformance/utils/roundtripper"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// inside is the variable that is set in the process that TestConformance starts in a network namespace.
const inside = "MOORING_CONFORMANCE_DIR"

// withSessions is the variable that is set there if every Service has sessions.
const withSessions = "MOORING_CONFORMANCE_SESSIONS"

// TestSuite is the suite itself. Only TestConformance starts it, in a separate process, and compares its results.
func TestSuite(t *testing.T) {
	dir := os.Getenv(inside)
	if dir == "" {
		t.Skip("TestConformance runs it")
	}
	if err := bringLoopbackUp(); err != nil {
		t.Fatal(err)
	}
	log.SetLogger(logr.Discard())
	const class = "mooring"
	cluster, err := NewCluster(Tools{
		Mooring: os.Getenv("MOORING"),
		Module:  os.Getenv("MOORING_WASM"),
		Envoy:   os.Getenv("ENVOY"),
		Echo:    os.Getenv("ECHO_BASIC"),
		Dir:     dir,
	}, class)
	cluster.Sessions = os.Getenv(withSessions) != ""
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	sender := NewClient(cluster, &roundtripper.DefaultRoundTripper{TimeoutConfig: timeouts()})
	s, err := suite.NewConformanceTestSuite(suite.ConformanceOptions{
		ConfigurableOptions: suite.ConfigurableOptions{
			GatewayClassName:     class,
			CleanupTestResources: true,
			AllowCRDsMismatch:    true, // there are no definitions
			SupportedFeatures:    features.SetsToNamesSet(features.AllFeatures).Delete(features.SupportMesh).UnsortedList(),
			TimeoutConfig:        timeouts(),
		},
		Client:       cluster.Client,
		Clientset:    cluster.Clientset,
		RoundTripper: sender,
		GRPCClient:   sender,
		ManifestFS:   []fs.FS{&conformance.Manifests},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Setup(t, tests.ConformanceTests)
	for _, test := range tests.ConformanceTests {
		if !isRelevant(&test) {
			continue
		}
		// A write of one test must not restart the Envoy that another test uses.
		test.Parallel = false
		if own := ownRequests[test.ShortName]; own != nil {
			test.Test = func(t *testing.T, s *suite.ConformanceTestSuite) { send(t, s, own) }
		}
		t.Run(test.ShortName, func(t *testing.T) {
			cluster.Test = test.ShortName
			test.Run(t, s)
		})
	}
}

// timeouts returns the timeouts of the suite, shorter for conditions that are true at once or never.
func timeouts() config.TimeoutConfig {
	timeouts := config.DefaultTimeoutConfig()
	timeouts.DefaultPollInterval = 20 * time.Millisecond
	timeouts.MaxTimeToConsistency = 3 * time.Second
	for _, timeout := range []*time.Duration{
		&timeouts.GatewayMustHaveAddress,
		&timeouts.GatewayMustHaveCondition,
		&timeouts.GatewayStatusMustHaveListeners,
		&timeouts.GatewayListenersMustHaveConditions,
		&timeouts.ListenerSetMustHaveCondition,
		&timeouts.ListenerSetListenersMustHaveConditions,
		&timeouts.HTTPRouteMustHaveCondition,
		&timeouts.HTTPRouteMustNotHaveParents,
		&timeouts.RouteMustHaveParents,
	} {
		*timeout = 2 * time.Second
	}
	return timeouts
}
