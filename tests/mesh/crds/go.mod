// The custom resource definitions of each Gateway API release that the scenarios can choose, read from the module
// cache. One module can be required only once under its own name, so each release has a name of its own here.
module mooring.dev/tests/mesh/crds

go 1.26.0

require (
	mooring.dev/gateway-api-1.2 v1.2.1
	mooring.dev/gateway-api-1.5 v1.5.1
	mooring.dev/gateway-api-1.6 v1.6.3
)

replace (
	mooring.dev/gateway-api-1.2 => sigs.k8s.io/gateway-api v1.2.1
	mooring.dev/gateway-api-1.5 => sigs.k8s.io/gateway-api v1.5.1
	mooring.dev/gateway-api-1.6 => sigs.k8s.io/gateway-api v1.6.3
)
