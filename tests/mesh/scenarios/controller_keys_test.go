//go:build mesh

package scenarios

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/wait"
)

// The controller creates and rotates session keys. The rollouts are played: the test writes the status of a Deployment.

// keyedDeployment is a Deployment of a gateway whose pods get their keys from a Secret.
const keyedDeployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: keyed}
spec:
  replicas: 2
  selector: {matchLabels: {app: keyed}}
  template:
    metadata: {labels: {app: keyed}}
    spec:
      containers:
      - name: istio-proxy
        image: auto
        env: [{name: MOORING_KEYS, valueFrom: {secretKeyRef: {name: mooring-keys, key: MOORING_KEYS}}}]
`

type keyedPods struct {
	t *testing.T
	s *scenario.Scenario
}

func (k keyedPods) get(kind schema.GroupVersionKind, name string) (*kube.Object, error) {
	return k.s.Cluster.Kube.Get(kind, k.s.Namespace, name)
}

var secretKind = schema.GroupVersionKind{Version: "v1", Kind: "Secret"}

// ids returns the IDs of the ring in the Secret.
func (k keyedPods) ids() (string, error) {
	secret, err := k.get(secretKind, "mooring-keys")
	if err != nil {
		return "", err
	}
	encoded, _, _ := unstructured.NestedString(secret.Object, "data", "MOORING_KEYS")
	ring, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", err
	}
	var ids []string
	for _, entry := range strings.FieldsFunc(string(ring), func(r rune) bool { return r == ',' || r == '\n' || r == ' ' }) {
		ids = append(ids, entry[:2])
	}
	return strings.Join(ids, "-"), nil
}

// step returns the step of the rotation.
func (k keyedPods) step() (string, error) {
	secret, err := k.get(secretKind, "mooring-keys")
	if err != nil {
		return "", err
	}
	var progress struct{ Step string }
	text := secret.GetAnnotations()["mooring.dev/rotation"]
	if text == "" {
		return "", nil
	}
	return progress.Step, json.Unmarshal([]byte(text), &progress)
}

// awaitStep waits for a step of the rotation, whose ring pods start with.
func (k keyedPods) awaitStep(step string) (ids string) {
	k.t.Helper()
	wait.Eventually(k.t, "the step "+step, func() error {
		is, err := k.step()
		if err == nil && is != step {
			err = fmt.Errorf("it is %q", is)
		}
		if err == nil {
			ids, err = k.ids()
		}
		return err
	})
	return ids
}

// awaitTemplate waits until the pod template has the IDs of a ring.
func (k keyedPods) awaitTemplate(ids string) {
	k.t.Helper()
	wait.Eventually(k.t, "the pod template has the ring "+ids, func() error {
		deployment, err := k.get(deploymentKind, "keyed")
		if err != nil {
			return err
		}
		is, _, _ := unstructured.NestedString(deployment.Object, "spec", "template", "metadata", "annotations", "mooring.dev/keys")
		if is != ids {
			return fmt.Errorf("it has %q", is)
		}
		return nil
	})
}

// rollOut plays a rollout of the newest pod template, complete or not.
func (k keyedPods) rollOut(updated int64) {
	k.t.Helper()
	deployment, err := k.get(deploymentKind, "keyed")
	if err != nil {
		k.t.Fatal(err)
	}
	status := kube.Ref("apps/v1", "Deployment", k.s.Namespace, "keyed")
	status.Object["status"] = map[string]any{
		"observedGeneration": deployment.GetGeneration(), "replicas": int64(2), "updatedReplicas": updated,
		"readyReplicas": int64(2), "availableReplicas": int64(2),
	}
	if _, err := k.s.Cluster.Kube.Apply(status, "status"); err != nil {
		k.t.Fatal(err)
	}
}

func (k keyedPods) annotate(name, value string) {
	k.t.Helper()
	code, output := runProgram(k.s.Cluster.Kubeconfig, nil, rig.Env.Program("kubectl"), "annotate", "secret", "mooring-keys",
		name+"="+value, "--overwrite", "--namespace", k.s.Namespace)
	if code != 0 {
		k.t.Fatal(output)
	}
}

func TestControllerRotatesKeys(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "sp-demo", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	k := keyedPods{t, s}
	deployment, err := kube.ReadYAML(strings.NewReader(keyedDeployment))
	if err != nil {
		t.Fatal(err)
	}
	deployment[0].SetNamespace(s.Namespace)
	if _, err := s.Cluster.Kube.Apply(deployment[0]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, obj := range []*kube.Object{kube.Ref("apps/v1", "Deployment", s.Namespace, "keyed"), kube.Ref("v1", "Secret", s.Namespace, "mooring-keys")} {
			if err := s.Cluster.Kube.Delete(obj); err != nil {
				t.Error(err)
			}
		}
	})
	// Sessions without a timeout: tokens of the old key never expire.
	s.Apply(t, ownedRoute)
	s.Apply(t, ownedPolicy)
	rights := scenario.ControllerValues("controller.keys.create=true", "controller.keys.rotate=true")
	c := s.StartController(t, rights, scenario.ControllerArgs("--create-keys", "--rotate-keys", "--check-keys"))

	wait.Eventually(t, "the Secret is created", func() error {
		ids, err := k.ids()
		if err == nil && ids != "01" {
			err = fmt.Errorf("its ring is %q", ids)
		}
		return err
	})
	wait.Eventually(t, "the status says which pods lack keys", func() error {
		for _, condition := range s.Conditions(t, "mooring.dev/v1alpha1", "CanaryPolicy", "owned") {
			if condition.Reason == "KeysMissing" && strings.Contains(condition.Message, "gateway-sp-demo-istio") {
				return nil
			}
		}
		return fmt.Errorf("%v", s.Conditions(t, "mooring.dev/v1alpha1", "CanaryPolicy", "owned"))
	})
	awaitWritten(t, s, 1, "the plugin, from which the controller knows the timeouts", func(obj *kube.Object) bool { return obj.GetKind() == "WasmPlugin" })

	k.annotate("mooring.dev/rotate", "spring")
	both := k.awaitStep("Appended")
	if !strings.HasPrefix(both, "01-") {
		t.Fatalf("the ring is %s", both)
	}
	k.awaitTemplate(both)
	k.rollOut(1)
	wait.Eventually(t, "the rollout is awaited", func() error {
		if log := c.Process.Log(); !strings.Contains(log, "waits for the rollout of Deployment "+s.Namespace+"/keyed") {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	if step, err := k.step(); err != nil || step != "Appended" {
		t.Fatalf("%s before the pods have the key, %v", step, err)
	}

	// The controller goes on after a crash.
	c.Kill()
	c.Start(t)
	k.rollOut(2)
	promoted := k.awaitStep("Promoted")
	if promoted != both[3:]+"-01" {
		t.Fatalf("the ring is %s after %s", promoted, both)
	}
	k.awaitTemplate(promoted)
	k.rollOut(2)
	if ids := k.awaitStep("Expiring"); ids != promoted {
		t.Fatalf("the ring is %s before the tokens have expired", ids)
	}
	k.annotate("mooring.dev/rotate-remove-old", "spring")
	removed := k.awaitStep("Removed")
	if removed != both[3:] {
		t.Fatalf("the ring is %s, expected %s", removed, both[3:])
	}
	k.awaitTemplate(removed)
	k.rollOut(2)
	k.awaitStep("Done")

	expectRightsForKeys(t, s, c, rights)

	// The log names keys by their IDs, and never has their text.
	secret, err := k.get(secretKind, "mooring-keys")
	if err != nil {
		t.Fatal(err)
	}
	encoded, _, _ := unstructured.NestedString(secret.Object, "data", "MOORING_KEYS")
	if ring, err := base64.StdEncoding.DecodeString(encoded); err != nil || strings.Contains(c.Process.Log(), strings.TrimSpace(string(ring))[3:]) {
		t.Errorf("the log has the key, or it is not base64: %v", err)
	}
	code, events := runProgram(s.Cluster.Kubeconfig, nil, rig.Env.Program("kubectl"), "get", "events", "--namespace", s.Namespace,
		"--field-selector", "involvedObject.name=mooring-keys")
	if code != 0 || strings.Count(events, "KeyRotation") < 1 {
		t.Errorf("the events: %s", events)
	}
	t.Log(events)
}

// expectRightsForKeys expects that the controller has used all rights that the chart adds for keys, but for those on other kinds of pods.
func expectRightsForKeys(t *testing.T, s *scenario.Scenario, c *scenario.Controller, rights scenario.ControllerOption) {
	t.Helper()
	without := accessOfRoles(t, s.ControllerRoles(t))
	added := slices.DeleteFunc(accessOfRoles(t, s.ControllerRoles(t, rights)), func(access kube.Access) bool {
		return slices.Contains(without, access) || access.Resource == "daemonsets" || access.Resource == "statefulsets"
	})
	if len(added) != 4 {
		t.Errorf("added for keys: %v", added)
	}
	expectExactly(t, added, without, c.Recorder)
}
