//! Which Istio the output is for, and what it can do.

/// The oldest minor version that is known: `WasmPlugin.targetRefs` came with it.
const OLDEST: u8 = 22;

/// The newest one.
const NEWEST: u8 = 31;

/// A version of Istio, 1.22 to 1.31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IstioVersion {
    minor: u8,
}

/// A text that is no such version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a version of Istio that Mooring knows: it knows 1.{OLDEST} to 1.{NEWEST}, written as 1.{NEWEST} or 1.{NEWEST}.0"
)]
pub struct UnknownVersion(String);

/// How the annotation `envoyfilter.istio.io/referenced-services` names a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum References {
    /// There is no such annotation: a gateway has the clusters of all Services.
    None,
    /// By its host name.
    Host,
    /// By its namespace and its host name.
    NamespaceAndHost,
}

impl IstioVersion {
    /// `FAIL_RELOAD` of a `WasmPlugin` (1.27 and later).
    #[must_use]
    pub fn can_reload(self) -> bool {
        self.minor >= 27
    }

    /// Headers are removed by the beginning of their names (Envoy 1.36 and later, which is in Istio 1.28).
    #[must_use]
    pub fn can_remove_by_prefix(self) -> bool {
        self.minor >= 28
    }

    /// Mirrored requests keep their host; before, Envoy put `-shadow` behind it (1.28 and later:
    /// `DISABLE_SHADOW_HOST_SUFFIX`).
    #[must_use]
    pub fn mirrors_keep_hosts(self) -> bool {
        self.minor >= 28
    }

    /// The name that istiod gives the HTTP filter of a `WasmPlugin`. Where it is another, the filter runs for all routes,
    /// as it would without being told.
    #[must_use]
    pub fn filter_name(self, namespace: &str, name: &str) -> String {
        match self.minor {
            // As Istio spelled it.
            ..26 => format!("extenstions.istio.io/wasmplugin/{namespace}.{name}"),
            26..30 => format!("extensions.istio.io/wasmplugin/{namespace}.{name}"),
            30.. => format!("extensions.istio.io/trafficextension/{namespace}.{name}~istio-translated-wasmplugin"),
        }
    }

    /// The annotation (1.26 and later; with namespaces 1.29 and later).
    #[must_use]
    pub fn references(self) -> References {
        match self.minor {
            ..26 => References::None,
            26..29 => References::Host,
            29.. => References::NamespaceAndHost,
        }
    }
}

impl Default for IstioVersion {
    fn default() -> Self {
        Self { minor: NEWEST }
    }
}

impl std::fmt::Display for IstioVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "1.{}", self.minor)
    }
}

impl std::str::FromStr for IstioVersion {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        let unknown = || UnknownVersion(text.to_owned());
        let minor = text.strip_prefix("1.").ok_or_else(unknown)?;
        let (minor, patch) = minor.split_once('.').unwrap_or((minor, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let minor = minor.parse().ok().filter(|_| digits(minor) && digits(patch));
        minor
            .filter(|minor| (OLDEST..=NEWEST).contains(minor))
            .map(|minor| Self { minor })
            .ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_from_1_22_to_1_31() {
        for (text, minor) in [("1.22", 22), ("1.26.8", 26), ("1.31", 31)] {
            assert_eq!(text.parse(), Ok(IstioVersion { minor }));
        }
        for text in [
            "",
            "1",
            "1.",
            "1.21",
            "1.32",
            "2.27",
            "1.+27",
            "1.27.",
            "1.27-rc.0",
            "v1.27",
            "latest",
        ] {
            assert!(text.parse::<IstioVersion>().is_err(), "{text}");
        }
        assert_eq!(IstioVersion::default().to_string(), "1.31");
    }
}
