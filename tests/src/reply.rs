//! What comes back: the response as the client sees it, and in it what the pod was sent.

use std::fmt;

use bytes::Bytes;
use cookie::Cookie;
use hyper::{HeaderMap, header::SET_COOKIE};
use serde::{Deserialize, Serialize};

/// A response.
#[derive(Clone)]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first value of a header, if there is one.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.get(name).map(hyper::header::HeaderValue::as_bytes)
    }

    /// All values of a header, in their order, as text.
    pub fn header_all(&self, name: &str) -> Vec<String> {
        let values = self.headers.get_all(name).iter();
        values.map(|value| latin1(value.as_bytes())).collect()
    }

    /// The names of all headers.
    pub fn header_names(&self) -> Vec<&str> {
        self.headers.keys().map(hyper::header::HeaderName::as_str).collect()
    }

    /// All cookies that the response sets, in their order.
    pub fn set_cookies(&self) -> Vec<Cookie<'static>> {
        let values = self.headers.get_all(SET_COOKIE).iter();
        values
            .map(|value| {
                let text = value.to_str().expect("a Set-Cookie header in ASCII").to_owned();
                Cookie::parse(text).expect("a Set-Cookie header that is one")
            })
            .collect()
    }

    /// The one cookie of this name that the response sets, if it does. Two of a name are a failure.
    pub fn set_cookie(&self, name: &str) -> Option<Cookie<'static>> {
        let mut found = self.set_cookies().into_iter().filter(|cookie| cookie.name() == name);
        let first = found.next();
        assert!(found.next().is_none(), "two cookies named {name}: {self:?}");
        first
    }

    /// This reply, which is a 200; anything else is a failure.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{self:?}");
        self
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// What the pod was sent. A reply of no pod is a failure.
    #[track_caller]
    pub fn echo(&self) -> Echo {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not a pod's answer ({error}): {self:?}"))
    }

    /// The name of the pod that answered. A reply of no pod is a failure.
    #[track_caller]
    pub fn pod(&self) -> String {
        let pod = self.header("x-pod").map(latin1);
        pod.unwrap_or_else(|| panic!("not a pod's answer: {self:?}"))
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {}", self.status, self.headers, latin1(&self.body))
    }
}

/// What a pod was sent, and which pod that was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Echo {
    /// The pod's name.
    pub pod: String,
    /// The pod's version.
    pub version: String,
    /// The request's method.
    pub method: String,
    /// The request's target: path and query.
    pub target: String,
    /// The request's header lines. A character is a byte of the value (ISO-8859-1), so that nothing is lost.
    headers: Vec<(String, String)>,
}

impl Echo {
    pub(crate) fn of<B>(pod: &str, version: &str, request: &hyper::Request<B>) -> Self {
        let headers = request.headers().iter();
        Self {
            pod: pod.to_owned(),
            version: version.to_owned(),
            method: request.method().to_string(),
            target: request.uri().to_string(),
            headers: headers
                .map(|(name, value)| (name.to_string(), latin1(value.as_bytes())))
                .collect(),
        }
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings become JSON")
    }

    /// The values of a header, byte for byte, in their order.
    pub fn header(&self, name: &str) -> Vec<Vec<u8>> {
        let values = self
            .headers
            .iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name));
        values
            .map(|(_, value)| value.chars().filter_map(|byte| u8::try_from(byte).ok()).collect())
            .collect()
    }

    /// The names of all headers.
    pub fn header_names(&self) -> Vec<&str> {
        self.headers.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The one Cookie line, byte for byte, if there is one.
    pub fn cookie(&self) -> Option<Vec<u8>> {
        let mut lines = self.header("cookie");
        assert!(lines.len() <= 1, "the pod got several Cookie lines: {self:?}");
        lines.pop()
    }
}

/// Bytes as text, one character for each byte.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
