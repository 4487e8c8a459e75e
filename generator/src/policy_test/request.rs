//! The requests of a case: the cross product of its hosts, paths and methods.

use super::{
    checker::Checker,
    format::{self, Scheme},
    values::OneOrMany,
};
use crate::{
    api::field::{Field, Port},
    location::Spanned,
};

/// How many requests the cross product of one case may have.
const MAX_REQUESTS: usize = 10_000;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The Gateway that receives it.
    pub gateway: Option<Spanned<String>>,
    /// The port that receives it.
    pub port: Option<Spanned<Port>>,
    /// Its scheme.
    pub scheme: Scheme,
    /// Its host.
    pub host: String,
    /// Its path, with the query.
    pub path: String,
    /// Its method.
    pub method: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its cookies.
    pub cookies: Vec<(String, String)>,
}

impl Request {
    /// The method and the URL.
    #[must_use]
    pub fn title(&self) -> String {
        let port = self.port.as_ref().filter(|_| !self.host.contains(':'));
        let port = port.map_or_else(String::new, |port| format!(":{}", port.value));
        format!(
            "{} {}://{}{port}{}",
            self.method,
            self.scheme.name(),
            self.host,
            self.path
        )
    }
}

impl Checker<'_> {
    /// The cross product of hosts, paths and methods, in this order.
    pub(super) fn requests(&mut self, request: &format::Request) -> Vec<Request> {
        let hosts = self.values(request.host.as_ref(), "example.com", "host", |host| {
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
        });
        let paths = self.values(request.path.as_ref(), "/", "path, which begins with /", |path| {
            path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
        });
        let methods = self.values(request.method.as_ref(), "GET", "method", is_token);
        let headers = self.headers(request);
        let cookies = self.cookies(request);
        let count = hosts.len().saturating_mul(paths.len()).saturating_mul(methods.len());
        if count > MAX_REQUESTS {
            let at = request
                .path
                .as_ref()
                .or(request.host.as_ref())
                .or(request.method.as_ref());
            if let Some(at) = at {
                self.error(
                    at,
                    format!("these are {count} requests; a case may have {MAX_REQUESTS} at most"),
                );
            }
            return Vec::new();
        }
        let mut requests = Vec::new();
        for host in &hosts {
            for path in &paths {
                for method in &methods {
                    requests.push(Request {
                        gateway: request.gateway.as_ref().map(|gateway| self.spanned(gateway)),
                        port: request.port.as_ref().map(|port| self.spanned(port)),
                        scheme: request
                            .scheme
                            .as_ref()
                            .map_or_else(Scheme::default, |scheme| scheme.value),
                        host: host.clone(),
                        path: path.clone(),
                        method: method.clone(),
                        headers: headers.clone(),
                        cookies: cookies.clone(),
                    });
                }
            }
        }
        requests
    }

    fn values(
        &mut self,
        field: Option<&Field<OneOrMany>>,
        default: &str,
        what: &str,
        is_valid: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let Some(field) = field else {
            return vec![default.to_owned()];
        };
        for value in field.value.0.iter().filter(|value| !is_valid(value)) {
            self.error(field, format!("`{value}` is not a {what}"));
        }
        field.value.0.clone()
    }

    fn headers(&mut self, request: &format::Request) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        for (name, values) in &request.headers.0 {
            let lower = name.value.to_lowercase();
            if !is_token(&lower) {
                self.error(name, format!("`{}` is not the name of a header", name.value));
            } else if lower == "host" {
                self.error(name, "write the host as `host` of the request");
            }
            for value in &values.0 {
                if value.bytes().any(|byte| byte < b' ' && byte != b'\t') {
                    self.error(name, "the value of a header has no line breaks and control characters");
                }
                headers.push((lower.clone(), value.clone()));
            }
        }
        headers
    }

    fn cookies(&mut self, request: &format::Request) -> Vec<(String, String)> {
        let mut cookies = Vec::new();
        for (name, value) in &request.cookies.0 {
            if !is_token(&name.value) {
                self.error(name, format!("`{}` is not the name of a cookie", name.value));
            }
            if value.bytes().any(|byte| byte < b' ' || byte == b';') {
                self.error(name, "the value of a cookie has no `;` and no control characters");
            }
            cookies.push((name.value.clone(), value.clone()));
        }
        cookies
    }
}

/// Whether a text is a token of HTTP (RFC 9110, section 5.6.2).
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
