//! A virtual host of a gateway.

/// A virtual host: the routes for one host name on one port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VirtualHost {
    /// The port of the listener.
    pub port: u16,
    /// The host name. `*` matches every name, and `*.example.com` every name below example.com.
    pub hostname: String,
}

impl VirtualHost {
    /// The name of the Envoy virtual host, as Istio names it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}:{}", self.hostname, self.port)
    }
}
