//! Clients that connect by TLS: their cookies are `Secure`.

use std::{net::SocketAddr, sync::Arc};

use mooring_tests::{Bootstrap, Envoy, HOSTNAME, Pod, Reply, raw_over};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring},
};

use crate::shop::{COOKIE, cart, persistence};

/// A self-signed certificate, and a client that trusts it alone.
pub struct Certificate(rcgen::CertifiedKey<rcgen::KeyPair>);

impl Certificate {
    /// For a host name.
    pub fn new(host: &str) -> Self {
        Self(rcgen::generate_simple_self_signed([host.to_owned()]).unwrap())
    }

    /// Its private key, as PEM.
    pub fn key(&self) -> String {
        self.0.signing_key.serialize_pem()
    }

    /// The Secret that holds it.
    pub fn secret(&self, name: &str, namespace: &str) -> String {
        let indented = |pem: String| pem.replace('\n', "\n    ");
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\ntype: kubernetes.io/tls\nstringData:\n  \
             tls.crt: |\n    {}\n  tls.key: |\n    {}\n---\n",
            indented(self.0.cert.pem()),
            indented(self.key())
        )
    }

    /// Makes the first listener of a configuration serve it.
    fn terminate(&self, bootstrap: &mut Bootstrap) {
        let chain = "/static_resources/listeners/0/filter_chains/0";
        let chain = bootstrap.json_mut().pointer_mut(chain).unwrap();
        chain["transport_socket"] = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {"tls_certificates": [{
                    "certificate_chain": {"inline_string": self.0.cert.pem()},
                    "private_key": {"inline_string": self.key()},
                }]},
            },
        });
    }

    /// A GET by https. None: the gateway presents another certificate.
    pub async fn get(&self, address: SocketAddr, host: &str, target: &str) -> Option<Reply> {
        self.get_with(address, host, target, "").await
    }

    /// The same with these header lines.
    async fn get_with(&self, address: SocketAddr, host: &str, target: &str, lines: &str) -> Option<Reply> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.cert.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(address).await.unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector
            .connect(host.to_owned().try_into().unwrap(), stream)
            .await
            .ok()?;
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n");
        Some(raw_over(stream, request.as_bytes()).await)
    }

    /// A request to the shop with these header lines, which is answered by 200.
    async fn shop(&self, envoy: &Envoy, lines: &str) -> Reply {
        self.get_with(envoy.address(), HOSTNAME, "/", lines).await.unwrap().ok()
    }
}

#[tokio::test]
async fn a_client_that_comes_by_https_gets_a_secure_cookie() {
    let pods = Pod::start_several("cart", 3).await;
    let manifests = cart(&pods, persistence());
    let certificate = Arc::new(Certificate::new(HOSTNAME));
    let tls = Arc::clone(&certificate);
    let envoy = Envoy::builder()
        .edit(move |bootstrap| tls.terminate(bootstrap))
        .start(&manifests)
        .await;
    let first = certificate.shop(&envoy, "").await;
    let cookie = first.set_cookie(COOKIE).unwrap();
    assert_eq!(cookie.secure(), Some(true), "{first:?}");
    assert_eq!(cookie.http_only(), Some(true), "{first:?}");
    for _ in 0..5 {
        let reply = certificate
            .shop(&envoy, &format!("Cookie: {}\r\n", cookie.stripped()))
            .await;
        assert_eq!(reply.pod(), first.pod());
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
    }
}

#[tokio::test]
async fn a_client_that_comes_without_tls_gets_no_secure_cookie_whatever_it_says() {
    let pods = Pod::start_several("cart", 1).await;
    let envoy = Envoy::serve(&cart(&pods, persistence())).await;
    for lines in [&[][..], &[("x-forwarded-proto", "https")]] {
        let client = envoy.client();
        let request = client.request("/");
        let request = lines
            .iter()
            .fold(request, |request, (name, value)| request.header(name, value));
        let reply = request.send().await.ok();
        assert_eq!(reply.set_cookie(COOKIE).unwrap().secure(), None, "{reply:?}");
    }
}

#[tokio::test]
async fn a_cookie_that_is_always_secure_is_so_without_tls_and_never_means_never() {
    let pods = Pod::start_several("cart", 1).await;
    for (secure, expected) in [("Always", Some(true)), ("Never", None)] {
        let manifests = cart(&pods, persistence().annotation("cookie-secure", secure));
        let certificate = Arc::new(Certificate::new(HOSTNAME));
        let tls = Arc::clone(&certificate);
        let plain = Envoy::serve(&manifests).await;
        let reply = plain.client().get("/").await.ok();
        assert_eq!(
            reply.set_cookie(COOKIE).unwrap().secure(),
            expected,
            "{secure}: {reply:?}"
        );
        let https = Envoy::builder()
            .edit(move |bootstrap| tls.terminate(bootstrap))
            .start(&manifests)
            .await;
        let reply = certificate.shop(&https, "").await;
        assert_eq!(
            reply.set_cookie(COOKIE).unwrap().secure(),
            expected,
            "{secure}: {reply:?}"
        );
    }
}
