//go:build mesh

package scenarios

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/wait"
)

// What becomes of the controller's writes when they are refused, and when another program writes too.

// admissionPolicy is a policy of the API server that refuses WasmPlugins of one namespace.
const admissionPolicy = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: NAMESPACE}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [extensions.istio.io], apiVersions: ["*"], operations: [CREATE, UPDATE], resources: [wasmplugins]}
  validations:
  - {expression: "false", message: no plugins on Fridays}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: NAMESPACE}
spec:
  policyName: NAMESPACE
  validationActions: [Deny]
  matchResources:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}
`

// webhookConfiguration sends the same WasmPlugins to a webhook.
const webhookConfiguration = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: NAMESPACE}
webhooks:
- name: plugins.rig.mooring.dev
  clientConfig: {url: URL, caBundle: CERTIFICATE}
  failurePolicy: Fail
  timeoutSeconds: 2
  sideEffects: None
  admissionReviewVersions: [v1]
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}
  rules:
  - {apiGroups: [extensions.istio.io], apiVersions: ["*"], operations: [CREATE, UPDATE], resources: [wasmplugins]}
`

func anAdmissionPolicyRefuses(t *testing.T, f *faults) {
	f.whilePluginsAreRefused(t, admissionPolicy, "no plugins on Fridays")
}

func aWebhookRefuses(t *testing.T, f *faults) {
	server, configuration := startWebhook(t)
	defer server.Close()
	f.whilePluginsAreRefused(t, configuration, "no plugins on Saturdays")
}

// A webhook whose pods are gone, and without which nothing is to be written.
func aWebhookIsAway(t *testing.T, f *faults) {
	server, configuration := startWebhook(t)
	server.Close()
	f.whilePluginsAreRefused(t, configuration, "failed calling webhook")
}

// startWebhook starts a webhook that refuses everything, and returns its configuration.
func startWebhook(t *testing.T) (*httptest.Server, string) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Request == nil {
			http.Error(w, fmt.Sprint(err), http.StatusBadRequest)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Result: &metav1.Status{Message: "no plugins on Saturdays"}}
		review.Request = nil
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review)
	}))
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return server, strings.NewReplacer("URL", server.URL, "CERTIFICATE", base64.StdEncoding.EncodeToString(certificate)).Replace(webhookConfiguration)
}

// whilePluginsAreRefused makes the API server refuse WasmPlugins. That is in the status of the policies that it concerns, everything else is
// written, and the plugins are tried again.
func (f *faults) whilePluginsAreRefused(t *testing.T, manifests, message string) {
	t.Helper()
	undo := f.refuse(t, manifests, f.s.Get(t, "extensions.istio.io/v1alpha1", "WasmPlugin", "mooring-gateway-sp-demo"))
	before := generatedVersions(t, f.s)
	f.change(t)
	is := awaitCondition(t, f.s, backendLBPolicy, "BackendLBPolicy", "lb-policy", "Programmed", "False", message)
	t.Log(is)
	awaitCondition(t, f.s, backendLBPolicy, "BackendLBPolicy", "lb-policy", "Accepted", "True", "")
	// Another object is written meanwhile.
	f.s.Patch(t, gatewayGroup, "HTTPRoute", "half", `{"spec":{"hostnames":["half.example","twice.example"]}}`)
	wait.Eventually(t, "the session routes follow", func() error {
		after := generatedVersions(t, f.s)
		for name := range after {
			if after[name] != before[name] {
				return nil
			}
		}
		return fmt.Errorf("%v", after)
	})
	undo()
	f.awaitMaxAge(t, f.seconds)
	awaitCondition(t, f.s, backendLBPolicy, "BackendLBPolicy", "lb-policy", "Programmed", "True", "")
	f.s.Patch(t, gatewayGroup, "HTTPRoute", "half", `{"spec":{"hostnames":["half.example"]}}`)
}

// thirdRoute is a split whose sessions are those of a CanaryPolicy, which has a status.
const thirdRoute = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: third}
spec:
  parentRefs: [{name: gateway-sp-demo}]
  hostnames: [third.example]
  rules: [{backendRefs: [{name: third, port: 80, weight: 1}, {name: plain, port: 80, weight: 1}]}]
---
apiVersion: v1
kind: Service
metadata: {name: third}
spec:
  selector: {app: plain}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: mooring.dev/v1alpha1
kind: CanaryPolicy
metadata: {name: third}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: third}
  sticky: {cookie: {name: third-session}}
`

// While an EnvoyFilter of the gateway is refused, a client could choose the backends of a new session route, so there is none.
func filtersAreRefused(t *testing.T, f *faults) {
	policy := strings.NewReplacer("extensions.istio.io", "networking.istio.io", "wasmplugins", "envoyfilters", "plugins on Fridays", "filters on Sundays")
	undo := f.refuse(t, policy.Replace(admissionPolicy), f.s.Get(t, "networking.istio.io/v1alpha3", "EnvoyFilter", "mooring-gateway-sp-demo-http"))
	f.s.Apply(t, thirdRoute)
	t.Log(awaitCondition(t, f.s, canaryPolicyVersion, "CanaryPolicy", "third", "Programmed", "False", "no filters on Sundays"))
	if routes := f.findSessionRoutes(t, "third"); routes != nil {
		t.Errorf("%s exists without its EnvoyFilter", routes.GetName())
	}
	undo()
	awaitCondition(t, f.s, canaryPolicyVersion, "CanaryPolicy", "third", "Programmed", "True", "")
	f.sessionRoutesOf(t, "third")
	f.deleteThird(t)
}

const canaryPolicyVersion = "mooring.dev/v1alpha1"

// Another writer's change of a generated object is put back. An object that another writer has under a name of the controller's is not
// touched, and status names the writer.
func anotherWriter(t *testing.T, f *faults) {
	const plugin = "mooring-gateway-sp-demo"
	f.s.PatchJSONAs(t, "somebody", "extensions.istio.io/v1alpha1", "WasmPlugin", plugin,
		`[{"op": "replace", "path": "/spec/failStrategy", "value": "FAIL_CLOSE"}]`)
	wait.Eventually(t, "the change is put back", func() error {
		strategy, _, err := unstructured.NestedString(f.s.Get(t, "extensions.istio.io/v1alpha1", "WasmPlugin", plugin).Object, "spec", "failStrategy")
		if err == nil && strategy != "FAIL_OPEN" {
			err = fmt.Errorf("failStrategy %s", strategy)
		}
		return err
	})

	f.s.Apply(t, thirdRoute)
	awaitCondition(t, f.s, canaryPolicyVersion, "CanaryPolicy", "third", "Programmed", "True", "")
	f.controller.Stop(t)
	theirs := f.sessionRoutesOf(t, "third")
	if err := f.s.Cluster.Kube.Delete(theirs); err != nil {
		t.Fatal(err)
	}
	theirs.Object["spec"] = map[string]any{"hostnames": []any{"elsewhere.example"}}
	f.applyAsOther(t, theirs)
	f.controller.Start(t)
	t.Log(awaitCondition(t, f.s, canaryPolicyVersion, "CanaryPolicy", "third", "Accepted", "False", theirs.GetName()))
	// As what another program has generated. "mesh-rig" is the field manager of the rig.
	theirs.SetLabels(map[string]string{"app.kubernetes.io/managed-by": "mooring"})
	applied := f.applyAsOther(t, theirs)
	t.Log(awaitCondition(t, f.s, canaryPolicyVersion, "CanaryPolicy", "third", "Programmed", "False", "mesh-rig"))
	f.expectGoesOn(t)
	now, err := f.s.Cluster.Kube.Get(theirs.GroupVersionKind(), theirs.GetNamespace(), theirs.GetName())
	if err != nil || now.GetGeneration() != applied.GetGeneration() || now.GetUID() != applied.GetUID() {
		t.Errorf("the object of another writer has changed: %v, %v", now, err)
	}
	if err := f.s.Cluster.Kube.Delete(theirs); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, f.s, canaryPolicyVersion, "CanaryPolicy", "third", "Programmed", "True", "")
	f.deleteThird(t)
}

func (f *faults) deleteThird(t *testing.T) {
	t.Helper()
	f.s.Delete(t, canaryPolicyVersion, "CanaryPolicy", "third")
	f.s.Delete(t, gatewayGroup, "HTTPRoute", "third")
	f.s.Delete(t, "v1", "Service", "third")
}

// sessionRoutesOf returns the identity of the session routes of a route.
func (f *faults) sessionRoutesOf(t *testing.T, route string) *kube.Object {
	t.Helper()
	found := f.findSessionRoutes(t, route)
	if found == nil {
		t.Fatalf("the route %s has no session routes", route)
	}
	return found
}

// findSessionRoutes is sessionRoutesOf for a route that may have none.
func (f *faults) findSessionRoutes(t *testing.T, route string) *kube.Object {
	t.Helper()
	for _, obj := range f.s.Written(t) {
		if strings.HasPrefix(obj.GetName(), "mooring-"+route+"-") {
			return kube.Ref(obj.GetAPIVersion(), obj.GetKind(), obj.GetNamespace(), obj.GetName())
		}
	}
	return nil
}

func (f *faults) applyAsOther(t *testing.T, obj *kube.Object) *kube.Object {
	t.Helper()
	applied, err := f.s.Cluster.Kube.Apply(obj)
	if err != nil {
		t.Fatal(err)
	}
	return applied
}

// A conflict is tried again.
func aConflict(t *testing.T, f *faults) {
	refused := map[string]int{}
	f.controller.Recorder.Answer(func(r kube.Request) int {
		writes := r.Verb == "patch" || r.Verb == "update" || r.Verb == "create"
		if !writes || r.Resource == "leases" || r.Resource == "events" || refused[r.Resource] > 0 {
			return 0
		}
		refused[r.Resource]++
		return http.StatusConflict
	})
	f.change(t)
	f.awaitMaxAge(t, f.seconds)
	awaitCondition(t, f.s, backendLBPolicy, "BackendLBPolicy", "lb-policy", "Programmed", "True", "")
	f.controller.Recorder.Answer(nil)
	if len(refused) < 2 {
		t.Errorf("refused: %v, expected a plugin and a status", refused)
	}
}

// refuse makes the API server refuse changes of an object by what it reads in manifests. It returns what undoes it.
func (f *faults) refuse(t *testing.T, manifests string, refused *kube.Object) (undo func()) {
	t.Helper()
	objects, err := kube.ReadYAML(strings.NewReader(strings.ReplaceAll(manifests, "NAMESPACE", f.s.Namespace)))
	if err != nil {
		t.Fatal(err)
	}
	undo = func() {
		for _, obj := range objects {
			if err := f.s.Cluster.Kube.Delete(obj); err != nil {
				t.Error(err)
			}
		}
	}
	for _, obj := range objects {
		if _, err := f.s.Cluster.Kube.Apply(obj); err != nil {
			t.Fatal(err)
		}
	}
	wait.Eventually(t, "the API server refuses", func() error {
		_, err := f.s.Cluster.Kube.Patch(kube.Patch{Kind: refused.GroupVersionKind(), Namespace: refused.GetNamespace(), Name: refused.GetName(),
			Type: "application/merge-patch+json", Body: `{"metadata":{"annotations":{"try":"` + time.Now().String() + `"}}}`, DryRun: true})
		if err == nil {
			return fmt.Errorf("it accepts")
		}
		return nil
	})
	return undo
}
