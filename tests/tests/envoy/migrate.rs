//! What `mooring migrate` writes for Ingresses of ingress-nginx, on a stock Envoy: each annotation behaves as ingress-nginx
//! documents it.
//!
//! A test has one Envoy and a host name for each Ingress. The expectations are those of the end-to-end tests of
//! ingress-nginx (`test/e2e/annotations/affinity.go`, `affinitymode.go` and `canary.go`).

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use mooring_tests::{Client, Envoy, Manifests, Reply, settings};

use crate::canary::Versions;

mod affinity;
mod canary;
mod cookies;
mod paths;
mod rewritten;

/// The host name of an Ingress.
fn host(name: &str) -> String {
    format!("{name}.example.com")
}

/// An Ingress for one path of its host name.
struct Ingress {
    name: String,
    host: String,
    paths: Vec<(String, &'static str, String)>,
    annotations: Vec<(String, String)>,
}

impl Ingress {
    /// An Ingress `NAME` for `NAME.example.com/` and a Service.
    fn to(name: &str, service: &str) -> Self {
        Self {
            name: name.to_owned(),
            host: host(name),
            paths: vec![("/".to_owned(), "Prefix", service.to_owned())],
            annotations: Vec::new(),
        }
    }

    /// The canary of [`Ingress::to`].
    fn canary(of: &str, service: &str) -> Self {
        Self {
            name: format!("{of}-canary"),
            host: host(of),
            ..Self::to(of, service).with("canary", "true")
        }
    }

    /// With these paths instead.
    fn paths(self, paths: &[(&str, &'static str, &str)]) -> Self {
        let paths = paths.iter();
        let paths = paths.map(|(path, kind, service)| ((*path).to_owned(), *kind, (*service).to_owned()));
        Self {
            paths: paths.collect(),
            ..self
        }
    }

    /// With an annotation of ingress-nginx.
    fn with(mut self, name: &str, value: &str) -> Self {
        self.annotations.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With sessions.
    fn sticky(self) -> Self {
        self.with("affinity", "cookie")
    }

    fn yaml(&self) -> String {
        let annotations = self.annotations.iter();
        let annotations =
            annotations.map(|(name, value)| format!("    nginx.ingress.kubernetes.io/{name}: '{value}'\n"));
        let annotations: Vec<String> = annotations.collect();
        let paths = self.paths.iter().map(|(path, kind, service)| {
            format!(
                "      - path: {path}\n        pathType: {kind}\n        backend: {{service: {{name: {service}, port: {{name: \
                 http}}}}}}\n"
            )
        });
        let paths: Vec<String> = paths.collect();
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: {}\n  namespace: shop\n  annotations:\n    \
             a: b\n{}spec:\n  ingressClassName: nginx\n  rules:\n  - host: \"{}\"\n    http:\n      paths:\n{}",
            self.name,
            annotations.concat(),
            self.host,
            paths.concat()
        )
    }
}

/// The Gateway, these Services, and what `mooring migrate` makes of the Ingresses. The command reports no error, and
/// `mooring validate` none about its output.
fn migrated(services: Manifests, ingresses: &[Ingress]) -> Manifests {
    let yaml: Vec<String> = ingresses.iter().map(Ingress::yaml).collect();
    migrated_yaml(services, &yaml.join("---\n"))
}

/// The same for a text.
fn migrated_yaml(services: Manifests, yaml: &str) -> Manifests {
    let input = format!("{}---\n{yaml}", services.text());
    let (code, routes, findings) = run(&["migrate", "--gateway", "shop/web", "-f", "-"], &input);
    assert!(matches!(code, Some(0 | 3)), "{code:?}: {findings}");
    assert!(!findings.contains("error["), "{findings}");
    let manifests = services.yaml(&routes);
    let (code, report, findings) = run(&["validate", "-f", "-"], &manifests.text());
    assert_eq!(code, Some(0), "{report}{findings}{routes}");
    manifests
}

/// Runs the command on a text: its exit status, its output and its findings.
fn run(arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(settings::mooring())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

impl Versions {
    /// An Envoy on what becomes of these Ingresses.
    async fn serve(&self, ingresses: &[Ingress]) -> Envoy {
        Envoy::serve(&migrated(self.services(), ingresses)).await
    }
}

/// Sends a request for a path of an Ingress, with header lines, and expects 200.
async fn ask(client: &Client, name: &str, path: &str, lines: &[(&str, &str)]) -> Reply {
    let request = client.request(path).host(&host(name));
    let request = lines
        .iter()
        .fold(request, |request, (name, value)| request.header(name, value));
    request.send().await.ok()
}

/// The Service that answers a request for the root of an Ingress.
async fn version(client: &Client, name: &str, lines: &[(&str, &str)]) -> String {
    let pod = ask(client, name, "/", lines).await.pod();
    pod.split('-').next().unwrap_or_default().to_owned()
}

/// The `Cookie` line that a browser sends after a response with one cookie.
#[track_caller]
fn cookie_of(reply: &Reply) -> String {
    let cookies = reply.set_cookies();
    assert_eq!(cookies.len(), 1, "{reply:?}");
    cookies[0].stripped().to_string()
}

/// A client with this cookie stays on this pod, and gets no new cookie.
async fn stays(client: &Client, name: &str, path: &str, cookie: &str, pod: &str) {
    for _ in 0..15 {
        let reply = ask(client, name, path, &[("cookie", cookie)]).await;
        assert_eq!(reply.pod(), pod, "{name}{path}");
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
    }
}
