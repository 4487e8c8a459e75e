//! The values of single flags.

use std::net::SocketAddr;

use crate::dns;

/// A SHA-256 in hexadecimal.
pub(super) fn sha256(text: &str) -> Result<String, &'static str> {
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
        Err("the name of a GatewayClass has lower-case letters, digits, - and . only")
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

pub(super) fn secret_name(text: &str) -> Result<(String, String), &'static str> {
    let (namespace, name) = text
        .split_once('/')
        .ok_or("write a namespace and a name, such as istio-ingress/mooring-keys")?;
    if !dns::is_name(namespace) || !dns::is_name(name) {
        return Err("names have lower-case letters, digits, - and . only");
    }
    Ok((namespace.to_owned(), name.to_owned()))
}
