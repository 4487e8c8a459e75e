//! The certificate that a listener presents. It comes from a Secret of the input.
//!
//! Messages contain neither the content nor the location of a Secret.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls::{
    SignatureAlgorithm,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use serde_json::{Value, json};

use super::super::http_filters::type_url;
use crate::{
    api::{field::Field, gateway::CertificateRef},
    diagnostic::{Code, Diagnostic, Report},
    document::RawObjects,
    id::Id,
    kind::Kind,
    model::gateway::{GatewaySpec, Listener},
    resources::{Item, Resources},
};

/// The keys of certificate and private key in a Secret. Istio tries the first pair first.
const PAIRS: [(&str, &str); 2] = [("cert", "key"), ("tls.crt", "tls.key")];

/// A certificate with its private key, as PEM.
pub struct Certificate {
    chain: String,
    key: String,
}

/// The objects in which certificates are looked up.
#[derive(Clone, Copy)]
pub struct Store<'s, 'a> {
    /// The permissions to refer to another namespace.
    pub resources: &'s Resources,
    /// The Secrets.
    pub raw: &'s RawObjects<'a>,
}

/// Why a listener has no certificate.
#[derive(Debug, thiserror::Error)]
enum NoCertificate {
    #[error("it names no certificate")]
    Unnamed,
    #[error("a certificate must be a Secret, but it names a {0}")]
    NotASecret(String),
    #[error("the Secret {0} is not in the input")]
    NotThere(Id),
    #[error("no ReferenceGrant in the namespace of the Secret {0} permits the Gateway to refer to it")]
    NotPermitted(Id),
    #[error("the Secret {0} has no certificate in `tls.crt` with its key in `tls.key` that Envoy accepts")]
    NotUsable(Id),
}

impl NoCertificate {
    /// The advice.
    fn help(&self) -> Option<&'static str> {
        match self {
            Self::Unnamed => {
                Some("name a Secret in tls.certificateRefs, or in tls.credentialName for an Istio Gateway")
            }
            Self::NotThere(_) => Some("add the Secret (kubernetes.io/tls) to the input"),
            Self::NotPermitted(_) => {
                Some("add the ReferenceGrant to the input, or use a Secret of the Gateway's namespace")
            }
            Self::NotASecret(_) | Self::NotUsable(_) => None,
        }
    }
}

impl Certificate {
    /// The certificate of a listener. `namespace` is the default namespace of its Secrets. If there is no usable
    /// certificate, it reports that and returns `None`.
    pub fn for_listener(
        listener: &Field<Listener>,
        gateway: &Item<GatewaySpec>,
        namespace: &str,
        store: Store,
        report: &mut Report,
    ) -> Option<Self> {
        let tls = listener.value.tls.as_ref();
        let references = tls.map_or(&[][..], |tls| &tls.value.certificate_refs);
        let found = references
            .iter()
            .map(|reference| Self::find(&reference.value, gateway, namespace, store));
        // The first usable Secret is selected. If none is usable, the error of the first one is reported.
        let mut problem = None;
        for certificate in found {
            match certificate {
                Ok(certificate) => return Some(certificate),
                Err(wrong) => problem = problem.or(Some(wrong)),
            }
        }
        let problem = problem.unwrap_or(NoCertificate::Unnamed);
        let message = format!(
            "the listener {} of Gateway {} is served without TLS, because {problem}",
            listener.value.name.value, gateway.id
        );
        let location = references.first().map_or_else(
            || gateway.location_of(&listener.value.protocol),
            |first| gateway.location_of(first),
        );
        let warning = Diagnostic::warning(Code::Unsupported, message).at(location);
        report.add(problem.help().into_iter().fold(warning, Diagnostic::help));
        None
    }

    fn find(
        reference: &CertificateRef,
        gateway: &Item<GatewaySpec>,
        namespace: &str,
        Store { resources, raw }: Store,
    ) -> Result<Self, NoCertificate> {
        let group = reference.group.as_deref().unwrap_or("");
        let kind = reference.kind.as_deref().unwrap_or("Secret");
        if (group, kind) != ("", "Secret") {
            return Err(NoCertificate::NotASecret(kind.to_owned()));
        }
        let id = Id::new(reference.namespace.as_deref().unwrap_or(namespace), &reference.name);
        let permitted = reference.namespace.is_none() || is_permitted(gateway, &id, resources);
        if !permitted {
            return Err(NoCertificate::NotPermitted(id));
        }
        let Some(secret) = raw.secret(&id) else {
            return Err(NoCertificate::NotThere(id));
        };
        let pairs = PAIRS.iter().filter_map(|(certificate, key)| {
            Some(Self {
                chain: text(&secret, certificate)?,
                key: text(&secret, key)?,
            })
        });
        let mut usable = pairs.filter(Self::is_usable);
        usable.next().ok_or(NoCertificate::NotUsable(id))
    }

    /// Whether Envoy accepts it: the private key must belong to the certificate.
    fn is_usable(&self) -> bool {
        let chain: Result<Vec<CertificateDer>, _> = CertificateDer::pem_slice_iter(self.chain.as_bytes()).collect();
        let (Ok(chain), Ok(key)) = (chain, PrivateKeyDer::from_pem_slice(self.key.as_bytes())) else {
            return false;
        };
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider());
        certified.is_ok_and(|certified| {
            let known = [SignatureAlgorithm::RSA, SignatureAlgorithm::ECDSA];
            known.contains(&certified.key.algorithm())
        })
    }

    /// The TLS transport socket of a filter chain.
    pub fn transport_socket(&self) -> Value {
        json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": type_url("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"),
                "common_tls_context": {
                    "alpn_protocols": ["h2", "http/1.1"],
                    "tls_certificates": [{
                        "certificate_chain": { "inline_string": self.chain },
                        "private_key": { "inline_string": self.key },
                    }],
                    "tls_params": { "tls_minimum_protocol_version": "TLSv1_2" },
                },
            },
        })
    }
}

/// Whether a Gateway may refer to a Secret (GEP-709).
fn is_permitted(gateway: &Item<GatewaySpec>, secret: &Id, resources: &Resources) -> bool {
    let kind = Kind::Gateway.to_string();
    let from = (kind.as_str(), gateway.id.namespace.as_str());
    let mut grants = resources.reference_grants.of_namespace(&secret.namespace);
    secret.namespace == gateway.id.namespace || grants.any(|grant| grant.spec.permits(from, ("Secret", &secret.name)))
}

/// A decoded value of a Secret.
fn text(secret: &Value, name: &str) -> Option<String> {
    let field = |field: &str| {
        secret
            .get(field)
            .and_then(|data| data.get(name))
            .and_then(Value::as_str)
    };
    if let Some(plain) = field("stringData") {
        return Some(plain.to_owned());
    }
    let encoded: String = field("data")?.split_ascii_whitespace().collect();
    String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()
}
