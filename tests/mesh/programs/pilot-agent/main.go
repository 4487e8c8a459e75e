// Command pilot-agent is the unmodified Istio agent, which starts Envoy in gateways and sidecars, built from its Go module.
package main

import (
	"fmt"
	"os"

	mesh "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pilot/cmd/pilot-agent/app"
	istioagent "istio.io/istio/pkg/istio-agent"
	"istio.io/istio/pkg/security"
	"istio.io/istio/security/pkg/nodeagent/sds"
)

func main() {
	root := app.NewRootCommand(func(o *security.Options, secrets security.SecretManager, keys *mesh.PrivateKeyProvider) istioagent.SDSService {
		return sds.NewServer(o, secrets, keys)
	})
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
