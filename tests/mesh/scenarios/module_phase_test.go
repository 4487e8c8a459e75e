//go:build mesh

package scenarios

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"mooring.dev/tests/mesh/internal/gateway"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
)

const jwtFilter, rbacFilter = "envoy.filters.http.jwt_authn", "envoy.filters.http.rbac"

// Envoy shows the module a route that depends on a claim of a JWT only if a filter before the module has asked for the route since
// authentication, as that of an AuthorizationPolicy does. So such a route has sessions in the phase STATS and without a phase.
func TestPhaseOfThePluginAndRoutesByClaims(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "sp-demo", scenario.WithUniqueNamespace(), scenario.WithGatewayEnv(keys))
	s.ApplyFile(t, "policies/xbackendtrafficpolicy.yaml")
	s.ApplyFile(t, "routes/plain.yaml")
	s.Patch(t, gatewayGroup, "HTTPRoute", "sp-demo", `{"spec":{"rules":[
		{"name":"beta","matches":[{"headers":[{"name":"x-group","value":"beta"}]}],"backendRefs":[{"name":"plain","port":80}],
		 "sessionPersistence":{"sessionName":"beta-session"}},
		{"name":"everyone","backendRefs":[{"name":"sp-demo","port":80}]}]}}`)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s.Apply(t, fmt.Sprintf(`{apiVersion: security.istio.io/v1, kind: RequestAuthentication, metadata: {name: jwt}, spec: {
		targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: gateway-sp-demo}],
		jwtRules: [{issuer: rig, jwks: '{"keys":[{"kty":"RSA","kid":"rig","n":%q,"e":%q}]}',
			outputClaimToHeaders: [{header: x-group, claim: group}]}]}}`,
		segment(key.N.Bytes()), segment(big.NewInt(int64(key.E)).Bytes())))
	gateway := s.Gateway(t, "gateway-sp-demo")
	gateway.Envoy.AwaitListener(t, jwtFilter)
	authorization := traffic.WithHeader("Authorization", "Bearer "+signedToken(t, key, `{"iss":"rig","group":"beta"}`))
	s.Mooring.Deploy(t)
	expectSessionByClaim(t, "without an AuthorizationPolicy", gateway, authorization, false)

	s.Apply(t, `{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: everyone}, spec: {
		targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: gateway-sp-demo}], rules: [{}]}}`)
	gateway.Envoy.AwaitListener(t, "policy[everyone]")
	expectSessionByClaim(t, "with an AuthorizationPolicy", gateway, authorization, true)
	for _, phase := range []struct {
		name          string
		before, after string // the filters between which the module is
		sessions      bool
	}{
		{"STATS", rbacFilter, "envoy.filters.http.grpc_stats", true},
		{"AUTHZ", jwtFilter, rbacFilter, false},
		{"AUTHN", "", jwtFilter, false},
	} {
		for _, obj := range s.Mooring.Generated() {
			if obj.GetKind() == "WasmPlugin" {
				s.Patch(t, obj.GetAPIVersion(), obj.GetKind(), obj.GetName(), fmt.Sprintf(`{"spec":{"phase":%q}}`, phase.name))
			}
		}
		gateway.Envoy.Await(t, "the module is in the phase "+phase.name, func() error {
			dump := gateway.Envoy.Admin(t, "/config_dump?resource=dynamic_listeners")
			module := strings.Index(dump, "mooring-gateway-sp-demo~")
			if module < strings.Index(dump, phase.before) || module > strings.Index(dump, phase.after) {
				return errors.New("it is not")
			}
			return gateway.Envoy.HasListener("mooring", true)
		})
		expectSessionByClaim(t, "in the phase "+phase.name, gateway, authorization, phase.sessions)
	}
}

// expectSessionByClaim compares whether requests with the claim begin sessions. Those without it do in any case.
func expectSessionByClaim(t *testing.T, what string, gateway *gateway.Gateway, authorization traffic.RequestOption, want bool) {
	t.Helper()
	for range 10 {
		reply := gateway.Client(t).Get(t, "/", authorization)
		if reply.Status != 200 || reply.Pod != "plain-0" || (len(reply.SetCookie) == 1) != want {
			t.Fatalf("%s: status %d, pod %q, Set-Cookie %q", what, reply.Status, reply.Pod, reply.SetCookie)
		}
	}
	if reply := gateway.Client(t).Get(t, "/"); len(reply.SetCookie) != 1 {
		t.Errorf("%s, a request without the claim: status %d, pod %q, no session", what, reply.Status, reply.Pod)
	}
}

func segment(bytes []byte) string { return base64.RawURLEncoding.EncodeToString(bytes) }

// signedToken returns a JWT with these claims.
func signedToken(t *testing.T, key *rsa.PrivateKey, claims string) string {
	t.Helper()
	token := segment([]byte(`{"alg":"RS256","kid":"rig"}`)) + "." + segment([]byte(claims))
	digest := sha256.Sum256([]byte(token))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return token + "." + segment(signature)
}
