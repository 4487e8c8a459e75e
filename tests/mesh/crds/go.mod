// The custom resource definitions of each Gateway API release that the scenarios can choose, and of each Istio release that output
// can be for, read from the module cache. One module can be required only once under its own name, so each release has a name of
// its own here.
module mooring.dev/tests/mesh/crds

go 1.26.0

require (
	mooring.dev/gateway-api-1.2 v1.2.1
	mooring.dev/gateway-api-1.5 v1.5.1
	mooring.dev/gateway-api-1.6 v1.6.3
	mooring.dev/istio-api-1.28 v1.28.0
	mooring.dev/istio-api-1.29 v1.29.5
	mooring.dev/istio-api-1.30 v1.30.8
	mooring.dev/istio-api-1.31 v1.31.4
)

replace (
	mooring.dev/gateway-api-1.2 => sigs.k8s.io/gateway-api v1.2.1
	mooring.dev/gateway-api-1.5 => sigs.k8s.io/gateway-api v1.5.1
	mooring.dev/gateway-api-1.6 => sigs.k8s.io/gateway-api v1.6.3
	mooring.dev/istio-api-1.28 => istio.io/api v1.28.0
	mooring.dev/istio-api-1.29 => istio.io/api v1.29.5
	mooring.dev/istio-api-1.30 => istio.io/api v1.30.8
	mooring.dev/istio-api-1.31 => istio.io/api v1.31.4
)
