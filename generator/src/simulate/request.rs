//! The request that is simulated.

use http::Uri;

/// A request, as a client sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// `http` or `https`.
    pub scheme: String,
    /// The host, with the port if the client sends one.
    pub authority: String,
    /// The path with the query.
    pub path: String,
    /// The other headers, in order. Names are in lower case.
    pub headers: Vec<(String, String)>,
    /// The port of the listener, if it is not the one that the authority or the scheme says.
    pub listener_port: Option<u16>,
}

/// Why a URL is not that of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// It cannot be parsed.
    #[error("`{url}` is not a URL: {reason}")]
    Syntax {
        /// The text.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// It has no host, or another scheme.
    #[error("`{0}` is not the URL of a request: it must begin with http:// or https:// and a host name")]
    NotHttp(String),
}

impl Request {
    /// A request for a URL, without further headers.
    pub fn new(method: &str, url: &str) -> Result<Self, InvalidUrl> {
        // A fragment stays in the client.
        let sent = url.split_once('#').map_or(url, |(sent, _)| sent);
        if !sent.contains("://") {
            return Err(InvalidUrl::NotHttp(url.to_owned()));
        }
        let uri: Uri = sent
            .parse()
            .map_err(|reason: http::uri::InvalidUri| InvalidUrl::Syntax {
                url: url.to_owned(),
                reason: reason.to_string(),
            })?;
        let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(InvalidUrl::NotHttp(url.to_owned()));
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('?') {
            format!("/{path}")
        } else {
            path.to_owned()
        };
        let host = authority.as_str();
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        Ok(Self {
            method: method.to_owned(),
            scheme: scheme.to_owned(),
            authority: host.to_owned(),
            path,
            headers: Vec::new(),
            listener_port: None,
        })
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// The host name in lower case, without the port.
    #[must_use]
    pub fn host(&self) -> String {
        let host = match self.port_text() {
            Some(port) => self
                .authority
                .strip_suffix(port)
                .and_then(|host| host.strip_suffix(':')),
            None => None,
        };
        host.unwrap_or(&self.authority).to_ascii_lowercase()
    }

    /// The port to which the client connects.
    #[must_use]
    pub fn port(&self) -> u16 {
        let written = || self.port_text().and_then(|port| port.parse().ok());
        self.listener_port
            .or_else(written)
            .unwrap_or(if self.scheme == "https" { 443 } else { 80 })
    }

    fn port_text(&self) -> Option<&str> {
        let (_, port) = self.authority.rsplit_once(':')?;
        port.bytes().all(|byte| byte.is_ascii_digit()).then_some(port)
    }

    /// The header lines as Envoy has them, with pseudo headers and the normalized path.
    #[must_use]
    pub fn lines(&self) -> Vec<(String, Vec<u8>)> {
        let pseudo = [
            (":authority", self.authority.clone()),
            (":method", self.method.clone()),
            (":path", normalized(&self.path)),
            (":scheme", self.scheme.clone()),
        ];
        let pseudo = pseudo
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into_bytes()));
        let others = self.headers.iter();
        let others = others.map(|(name, value)| (name.clone(), value.clone().into_bytes()));
        pseudo.chain(others).collect()
    }
}

/// The path as Envoy normalizes it (`normalize_path`): without `.` and `..`, with `/` instead of `\`, and with unreserved
/// characters instead of their percent encoding. The query is not changed.
fn normalized(path: &str) -> String {
    let (path, query) = match path.find('?') {
        Some(position) => path.split_at_checked(position).unwrap_or((path, "")),
        None => (path, ""),
    };
    let decoded = decode_unreserved(path).replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    let mut ends_in_slash = false;
    for segment in decoded.split('/').skip(1) {
        ends_in_slash = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let end = if ends_in_slash && !segments.is_empty() { "/" } else { "" };
    format!("/{}{end}{query}", segments.join("/"))
}

/// Replaces the percent encoding of characters that never need one (RFC 3986, section 2.3).
fn decode_unreserved(path: &str) -> String {
    let mut parts = path.split('%');
    let mut decoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let character = code.map(char::from).filter(|character| is_unreserved(*character));
        if let (Some(character), Some(rest)) = (character, part.get(2..)) {
            decoded.push(character);
            decoded.push_str(rest);
        } else {
            decoded.push('%');
            decoded.push_str(part);
        }
    }
    decoded
}

fn is_unreserved(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-._~".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gives_host_port_and_path() {
        let of = |url: &str| {
            let request = Request::new("GET", url).unwrap();
            (request.host(), request.port(), request.path)
        };
        let parts = |host: &str, port, path: &str| (host.to_owned(), port, path.to_owned());
        assert_eq!(
            of("http://Shop.example.com/cart?a=1#top"),
            parts("shop.example.com", 80, "/cart?a=1")
        );
        assert_eq!(of("https://shop.example.com"), parts("shop.example.com", 443, "/"));
        assert_eq!(
            of("http://shop.example.com:8080?a=1"),
            parts("shop.example.com", 8080, "/?a=1")
        );
        assert_eq!(of("http://[::1]:8080/"), parts("[::1]", 8080, "/"));
    }

    #[test]
    fn what_is_not_a_url_of_a_request_is_refused() {
        for url in [
            "",
            "/cart",
            "shop.example.com/cart",
            "ftp://shop.example.com/",
            "http://",
            "http://a b/",
        ] {
            assert!(Request::new("GET", url).is_err(), "{url}");
        }
    }

    #[test]
    fn paths_are_normalized_as_in_envoy() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/./b/../c", "/a/c"),
            ("/a/b/..", "/a/"),
            ("/../..", "/"),
            ("/a/%2e%2E/b?x=/../y", "/b?x=/../y"),
            ("/%63art%2Fa%20", "/cart%2Fa%20"),
            ("/a//b/", "/a//b/"),
            (r"/a\b", "/a/b"),
        ] {
            assert_eq!(normalized(path), expected, "{path}");
        }
    }
}
