//! A client that comes by https: its cookie is `Secure`.

use std::sync::Arc;

use mooring_tests::{Bootstrap, Envoy, HOSTNAME, Pod, Reply, raw_over};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring},
};

use crate::shop::{COOKIE, cart, persistence};

/// A certificate for the shop, signed by itself.
struct Certificate(rcgen::CertifiedKey<rcgen::KeyPair>);

impl Certificate {
    fn new() -> Self {
        Self(rcgen::generate_simple_self_signed([HOSTNAME.to_owned()]).unwrap())
    }

    /// Puts it in front of the listener.
    fn terminate(&self, bootstrap: &mut Bootstrap) {
        let chain = "/static_resources/listeners/0/filter_chains/0";
        let chain = bootstrap.json_mut().pointer_mut(chain).unwrap();
        chain["transport_socket"] = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {"tls_certificates": [{
                    "certificate_chain": {"inline_string": self.0.cert.pem()},
                    "private_key": {"inline_string": self.0.signing_key.serialize_pem()},
                }]},
            },
        });
    }

    /// A GET by https with these header lines.
    async fn get(&self, envoy: &Envoy, lines: &str) -> Reply {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.cert.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(envoy.address()).await.unwrap();
        let name = HOSTNAME.try_into().unwrap();
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap();
        let request = format!("GET / HTTP/1.1\r\nHost: {HOSTNAME}\r\nConnection: close\r\n{lines}\r\n");
        raw_over(stream, request.as_bytes()).await.ok()
    }
}

#[tokio::test]
async fn a_client_that_comes_by_https_gets_a_secure_cookie() {
    let pods = Pod::start_several("cart", 3).await;
    let manifests = cart(&pods, persistence());
    let certificate = Arc::new(Certificate::new());
    let tls = Arc::clone(&certificate);
    let envoy = Envoy::builder()
        .edit(move |bootstrap| tls.terminate(bootstrap))
        .start(&manifests)
        .await;
    let first = certificate.get(&envoy, "").await;
    let cookie = first.set_cookie(COOKIE).unwrap();
    assert_eq!(cookie.secure(), Some(true), "{first:?}");
    assert_eq!(cookie.http_only(), Some(true), "{first:?}");
    for _ in 0..5 {
        let reply = certificate
            .get(&envoy, &format!("Cookie: {}\r\n", cookie.stripped()))
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
        let certificate = Arc::new(Certificate::new());
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
        let reply = certificate.get(&https, "").await;
        assert_eq!(
            reply.set_cookie(COOKIE).unwrap().secure(),
            expected,
            "{secure}: {reply:?}"
        );
    }
}
