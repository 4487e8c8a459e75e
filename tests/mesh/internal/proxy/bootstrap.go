package proxy

import (
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/envoy"
)

type m = map[string]any

// bootstrap returns what Istio's agent would write: the identity of the node, and where its configuration comes from.
func (p *Proxy) bootstrap(c *cluster.Cluster) (m, error) {
	discovery := m{"envoy_grpc": m{"cluster_name": "xds-grpc"}}
	if c.AuthenticatesGateways() {
		// A token of the gateway's service account, which Istio's agent presents to istiod.
		token, err := c.Kube.CreateToken(p.Namespace, p.Owner, "istio-ca")
		if err != nil {
			return nil, err
		}
		discovery["initial_metadata"] = []m{{"key": "authorization", "value": "Bearer " + token}}
	}
	metadata := m{
		"NAME": p.Name, "NAMESPACE": p.Namespace, "LABELS": p.Labels,
		"CLUSTER_ID": "Kubernetes", "ISTIO_VERSION": cluster.IstioVersion, "INSTANCE_IPS": p.IP,
	}
	maps.Copy(metadata, p.Metadata)
	locality := m{}
	if p.Node != nil {
		locality["region"] = p.Node.Labels[corev1.LabelTopologyRegion]
		locality["zone"] = p.Node.Labels[corev1.LabelTopologyZone]
	}
	ads := m{"ads": m{}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
	return m{
		"node": m{
			"id":      fmt.Sprintf("%s~%s~%s.%s~%s.svc.cluster.local", p.Role, p.IP, p.Name, p.Namespace, p.Namespace),
			"cluster": p.Owner + "." + p.Namespace, "locality": locality,
			"metadata": metadata,
		},
		"admin": m{"address": socket(p.IP, envoy.AdminPort)},
		"dynamic_resources": m{
			"ads_config": m{
				"api_type": "DELTA_GRPC", "transport_api_version": "V3",
				"grpc_services": []m{discovery},
			},
			"cds_config": ads, "lds_config": ads,
		},
		"static_resources": m{"clusters": []m{grpcCluster("xds-grpc", c.IP, cluster.XDSPort)}},
	}, nil
}

// secretsPort is where Envoy asks for its certificate.
const secretsPort = 15012

// joinAmbient adds to the bootstrap what a proxy of an ambient mesh needs: internal listeners, and where its certificate comes from.
func (p *Proxy) joinAmbient(c *cluster.Cluster, bootstrap m) error {
	identity, err := c.Authority.Issue(p.Namespace, p.Owner)
	if err != nil {
		return err
	}
	if p.secrets, err = identity.ServeSecrets(fmt.Sprintf("%s:%d", p.IP, secretsPort)); err != nil {
		return err
	}
	bootstrap["bootstrap_extensions"] = []m{{
		"name": "envoy.bootstrap.internal_listener",
		"typed_config": m{
			"@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
		},
	}}
	bootstrap["static_resources"] = m{"clusters": []m{
		grpcCluster("xds-grpc", c.IP, cluster.XDSPort), grpcCluster("sds-grpc", p.IP, secretsPort),
	}}
	return nil
}

func grpcCluster(name, ip string, port int) m {
	return m{
		"name": name, "type": "STATIC", "connect_timeout": "1s",
		"load_assignment": m{"cluster_name": name, "endpoints": []m{{"lb_endpoints": []m{{
			"endpoint": m{"address": socket(ip, port)},
		}}}}},
		"typed_extension_protocol_options": m{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": m{
				"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
				"explicit_http_config": m{"http2_protocol_options": m{}},
			},
		},
	}
}

func socket(ip string, port int) m {
	return m{"socket_address": m{"address": ip, "port_value": port}}
}
