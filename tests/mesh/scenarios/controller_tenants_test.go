//go:build mesh

package scenarios

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/wait"
)

// A tenant makes thousands of policies that mean nothing: most of them are about one Service, of which one can hold, the others about Services
// that do not exist. Meanwhile the changes of others take effect, and each policy says why it does not hold. CONTROLLER_POLICIES is how many.
func TestControllerAndATenantWithManyPolicies(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "sp-demo", scenario.WithUniqueNamespace(), scenario.WithGatewayAPI(cluster.GatewayAPI12), scenario.WithGatewayEnv(keys))
	tenant := s.Namespace + "-tenant"
	s.Patch(t, gatewayGroup, "Gateway", "gateway-sp-demo",
		`{"spec":{"listeners":[{"name":"http","port":80,"protocol":"HTTP","allowedRoutes":{"namespaces":{"from":"All"}}}]}}`)
	s.Apply(t, fmt.Sprintf(tenantObjects, tenant, s.Namespace))
	s.ApplyFile(t, "policies/backendlbpolicy.yaml")
	controller := s.StartController(t, scenario.ControllerNamespaces(s.Namespace, tenant))
	f := &faults{s: s, controller: controller, probe: s.Gateway(t, "gateway-sp-demo").Client(t), seconds: 3600}
	f.awaitMaxAge(t, 3600)
	f.load = startLoad(t, s.Gateway(t, "gateway-sp-demo").Client, "/")

	count := setting(t, "CONTROLLER_POLICIES", 200)
	memory, written, began := controller.Memory(t), len(controller.Recorder.Writes()), time.Now()
	t.Cleanup(func() { _ = deletePolicies(s.Cluster.Kube, tenant) }) // if the test fails
	f.whileOthersChange(t, fmt.Sprintf("%d policies are made", count), func() error { return makePolicies(s.Cluster.Kube, tenant, count) })
	f.whileOthersChange(t, "each says what it is", func() error {
		return wait.Until("all policies have a status", func() error { return allHaveStatus(s.Cluster.Kube, tenant, count) })
	})
	t.Logf("%s for all, memory from %d to %d MiB, %d writes", time.Since(began).Round(time.Millisecond),
		memory>>20, controller.Memory(t)>>20, len(controller.Recorder.Writes())-written)
	f.whileOthersChange(t, "they are deleted", func() error { return deletePolicies(s.Cluster.Kube, tenant) })
	t.Logf("memory %d MiB", controller.Memory(t)>>20)
	expectNothingLost(t, "others", f.load.Stop())
}

const tenantObjects = `apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: v1
kind: Service
metadata: {name: tenant, namespace: %[1]s}
spec:
  selector: {app: tenant}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: tenant, namespace: %[1]s}
spec:
  parentRefs: [{name: gateway-sp-demo, namespace: %[2]s}]
  hostnames: [tenant.example]
  rules: [{backendRefs: [{name: tenant, port: 80}]}]
`

// whileOthersChange changes the policy of another team again and again until the work has ended, and logs how long changes take.
func (f *faults) whileOthersChange(t *testing.T, what string, work func() error) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- work() }()
	var took latencies
	for {
		began := time.Now()
		f.change(t)
		f.awaitMaxAge(t, f.seconds)
		took = append(took, time.Since(began))
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("while %s, changes of others take: %s", what, took)
			// Generous, because a test that runs beside others shares the machine with them.
			if slices.Max(took) > time.Minute {
				t.Errorf("%s: changes of others take: %s", what, took)
			}
			return
		default:
		}
	}
}

var backendLBPolicies = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1alpha2", Resource: "backendlbpolicies"}

func makePolicies(client *kube.Client, namespace string, count int) error {
	var group errgroup.Group
	group.SetLimit(8)
	for i := range count {
		group.Go(func() error {
			target := "tenant"
			if i%3 == 0 {
				target = fmt.Sprintf("missing-%d", i)
			}
			obj := kube.Ref(backendLBPolicy, "BackendLBPolicy", namespace, fmt.Sprintf("policy-%05d", i))
			obj.Object["spec"] = map[string]any{
				"targetRefs":         []any{map[string]any{"group": "", "kind": "Service", "name": target}},
				"sessionPersistence": map[string]any{"sessionName": fmt.Sprintf("session-%d", i)},
			}
			_, err := client.Create(obj)
			return err
		})
	}
	return group.Wait()
}

func policiesIn(client *kube.Client, namespace string) ([]*kube.Object, error) {
	all, err := client.List(backendLBPolicies)
	return slices.DeleteFunc(all, func(obj *kube.Object) bool { return obj.GetNamespace() != namespace }), err
}

func allHaveStatus(client *kube.Client, namespace string, count int) error {
	policies, err := policiesIn(client, namespace)
	if err != nil {
		return err
	}
	have, accepted := 0, 0
	for _, policy := range policies {
		if is, err := conditionOf(policy, "Accepted"); err == nil {
			have++
			if is.Status == "True" {
				accepted++
			}
		}
	}
	if have < count || len(policies) != count {
		return fmt.Errorf("%d of %d policies have a status", have, len(policies))
	}
	if accepted != 1 {
		return wait.Permanent(fmt.Errorf("%d of %d policies are accepted", accepted, count))
	}
	return nil
}

func deletePolicies(client *kube.Client, namespace string) error {
	policies, err := policiesIn(client, namespace)
	if err != nil {
		return err
	}
	if len(policies) == 0 {
		return errors.New("no policies to delete")
	}
	var group errgroup.Group
	group.SetLimit(8)
	for _, policy := range policies {
		group.Go(func() error { return client.Delete(policy) })
	}
	return group.Wait()
}
