//! A virtual host of a gateway.

/// A virtual host: the routes for one host name on one port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VirtualHost {
    /// The port of the Gateway.
    pub port: u16,
    /// The host name; `*` is every one, `*.example.com` every one below example.com.
    pub hostname: String,
}

impl VirtualHost {
    /// The name of the Envoy virtual host, as Istio names it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}:{}", self.hostname, self.port)
    }
}
