//! The values of single flags.

use std::net::SocketAddr;

use mooring_policy::name;

use crate::dns;

/// A SHA-256 in hexadecimal, alone or as tools for registries print it, with `sha256:` before it.
pub(super) fn sha256(text: &str) -> Result<String, &'static str> {
    let text = text.strip_prefix("sha256:").unwrap_or(text);
    let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() == 64 && digits {
        Ok(text.to_owned())
    } else {
        Err("a SHA-256 is 64 lower-case hexadecimal digits")
    }
}

pub(super) fn class_name(text: &str) -> Result<String, &'static str> {
    if dns::is_name(text) {
        Ok(text.to_owned())
    } else {
        Err("the name of a class has lower-case letters, digits, - and . only")
    }
}

pub(super) fn cookie_suffix(text: &str) -> Result<String, &'static str> {
    if name::check_token(text).is_ok() && text.len() <= 32 {
        Ok(text.to_owned())
    } else {
        Err("a suffix has 1 to 32 of the characters of a cookie name: letters, digits and !#$%&'*+-.^_`|~")
    }
}

pub(super) fn listen(text: &str) -> Result<(u16, SocketAddr), &'static str> {
    let wrong = "write the Gateway's port and an address with a port, such as 80=127.0.0.1:8080";
    let (port, address) = text.split_once('=').ok_or(wrong)?;
    Ok((port.parse().map_err(|_| wrong)?, address.parse().map_err(|_| wrong)?))
}

pub(super) fn key_id(text: &str) -> Result<u8, &'static str> {
    let wrong = "a key id is two hexadecimal digits, such as 01 or a7";
    if text.len() != 2 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong);
    }
    u8::from_str_radix(text, 16).map_err(|_| wrong)
}

pub(super) fn pull_secret(text: &str) -> Result<String, &'static str> {
    if dns::is_name(text) {
        Ok(text.to_owned())
    } else {
        Err(
            "the name of a Secret has lower-case letters, digits, - and . only, and no namespace: it is in that of the WasmPlugin",
        )
    }
}

pub(super) fn secret_name(text: &str) -> Result<(String, String), &'static str> {
    let (namespace, name) = text
        .split_once('/')
        .ok_or("write a namespace and a name, such as istio-ingress/mooring-keys")?;
    if !dns::is_name(namespace) || !dns::is_name(name) {
        return Err("names have lower-case letters, digits, - and . only");
    }
    Ok((namespace.to_owned(), name.to_owned()))
}

/// The method of a request (RFC 9110, section 9.1).
pub(super) fn method(text: &str) -> Result<String, &'static str> {
    match name::check_token(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(_) => Err("a method is one word, such as GET or POST"),
    }
}

/// A header of a request, as curl takes it.
pub(super) fn header(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text
        .split_once(':')
        .ok_or("write a name, a colon and a value, such as 'x-user: 7'")?;
    let name = name.trim();
    if name::check_token(name).is_err() {
        return Err("the name of a header has letters, digits and !#$%&'*+-.^_`|~ only");
    }
    if name.eq_ignore_ascii_case("host") {
        return Err("the host name is in --url");
    }
    let value = value.trim_matches([' ', '\t']);
    if value
        .chars()
        .any(|character| character.is_control() && character != '\t')
    {
        return Err("the value of a header has no control characters");
    }
    Ok((name.to_ascii_lowercase(), value.to_owned()))
}

/// A cookie of a request: `NAME=VALUE`, without attributes.
pub(super) fn cookie(text: &str) -> Result<String, &'static str> {
    let wrong = "write a name and a value, such as cart-session=AgEB";
    let (name, value) = text.split_once('=').ok_or(wrong)?;
    if name.is_empty() || name::check_token(name).is_err() {
        return Err(wrong);
    }
    if value
        .chars()
        .any(|character| character == ';' || character.is_control())
    {
        return Err("the value of a cookie has no ; and no control characters: write each cookie as a flag of its own");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_curl_reads_them() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(header("X-User: 7"), pair("x-user", "7"));
        assert_eq!(header("x-url:http://a"), pair("x-url", "http://a"));
        assert_eq!(header("x-empty:"), pair("x-empty", ""));
        for wrong in ["", "x-user", ": 7", "x user: 7", "x: a\nb", "Host: shop.example.com"] {
            assert!(header(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_cookie_has_a_name_and_no_attributes() {
        assert_eq!(cookie("a=b=c").as_deref(), Ok("a=b=c"));
        for wrong in ["", "a", "=b", "a b=c", "a=b; c=d"] {
            assert!(cookie(wrong).is_err(), "{wrong:?}");
        }
    }
}
