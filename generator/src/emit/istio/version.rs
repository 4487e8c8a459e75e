//! The version of Istio for which the output is generated, and the differences between versions.
//!
//! Mooring supports the versions of Istio whose Envoy it is tested with. Istio 1.28 has Envoy 1.36, and each later
//! Istio has the next Envoy (istio/proxy: `ENVOY_VERSION.txt` of its release branches).

use crate::{
    diagnostic::{Code, Diagnostic},
    emit::http_filters::OLDEST_ENVOY,
};

/// The oldest supported minor version.
const OLDEST: u16 = 28;

/// The newest tested minor version.
const NEWEST: u16 = 31;

/// A minor version of Istio: 1.28 or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IstioVersion {
    minor: u16,
}

/// The reason why a text is not a supported version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVersion {
    /// It is too old.
    #[error(
        "the oldest Istio that Mooring supports is 1.{OLDEST}, because its Envoy, {OLDEST_ENVOY}, is the oldest that Mooring is \
         tested with"
    )]
    TooOld,
    /// It is not a version.
    #[error("expected an Istio version, such as 1.{NEWEST}, v1.{NEWEST} or 1.{NEWEST}.2")]
    NotAVersion,
}

/// The format of a Service in the annotation `envoyfilter.istio.io/referenced-services`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum References {
    /// Its host name.
    Host,
    /// Its namespace and its host name.
    NamespaceAndHost,
}

impl IstioVersion {
    /// The name that istiod gives the HTTP filter of a `WasmPlugin`. If the name does not match, the filter is not
    /// disabled and runs for all routes.
    #[must_use]
    pub fn filter_name(self, namespace: &str, name: &str) -> String {
        match self.minor {
            ..30 => format!("extensions.istio.io/wasmplugin/{namespace}.{name}"),
            30.. => format!("extensions.istio.io/trafficextension/{namespace}.{name}~istio-translated-wasmplugin"),
        }
    }

    /// The format of Services in the annotation.
    #[must_use]
    pub fn references(self) -> References {
        match self.minor {
            ..29 => References::Host,
            29.. => References::NamespaceAndHost,
        }
    }

    /// The warning for a version that is newer than all tested ones.
    #[must_use]
    pub fn warning(self) -> Option<Diagnostic> {
        let newest = Self::default();
        (self > newest).then(|| {
            let message = format!(
                "Istio {self} is newer than Istio {newest}, the newest version that this release of Mooring is tested with; \
                 the output is the same as for Istio {newest}"
            );
            let warning = Diagnostic::warning(Code::Untested, message);
            warning.help("look for a newer release of Mooring, or test the output on a gateway without users")
        })
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

/// Parses a version as Istio writes it in tags, images and `istioctl version`: `v1.30.2`, `1.30.2-distroless`,
/// `1.31-alpha.0`. Only the minor version is kept.
impl std::str::FromStr for IstioVersion {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let version = text.strip_prefix('v').unwrap_or(text);
        let version = version
            .split_once(['-', '+'])
            .map_or(version, |(version, _build)| version);
        let numbers: Option<Vec<u16>> = version.split('.').map(number).collect();
        match numbers.as_deref() {
            Some(&[1, minor] | &[1, minor, _]) if minor >= OLDEST => Ok(Self { minor }),
            Some(&[0 | 1, _] | &[0 | 1, _, _]) => Err(InvalidVersion::TooOld),
            _ => Err(InvalidVersion::NotAVersion),
        }
    }
}

/// Accepts only digits: `parse` would also accept a sign.
fn number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_its_minor_version() {
        for (text, version) in [
            ("1.28", "1.28"),
            ("1.28.0", "1.28"),
            ("v1.30", "1.30"),
            ("v1.30.2", "1.30"),
            ("1.30.2-distroless", "1.30"),
            ("1.31.0-rc.1", "1.31"),
            ("1.31-alpha.8c2a", "1.31"),
            ("1.29.4+vendor.1", "1.29"),
            ("1.100", "1.100"),
        ] {
            assert_eq!(
                text.parse().map(|version: IstioVersion| version.to_string()),
                Ok(version.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn versions_before_1_28_are_too_old() {
        for text in ["1.27", "1.27.9", "v1.23", "1.9", "1.0.0-rc.1", "0.8"] {
            assert_eq!(text.parse::<IstioVersion>(), Err(InvalidVersion::TooOld), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_versions() {
        for text in [
            "", "v", "1", "1.", "1..30", "1.30.", "1.30.1.2", "1.+30", "1.x", "1.70000", "2.30", "V1.30", "vv1.30",
            " 1.30", "latest", "master", "-1.30",
        ] {
            assert_eq!(
                text.parse::<IstioVersion>(),
                Err(InvalidVersion::NotAVersion),
                "{text:?}"
            );
        }
    }

    #[test]
    fn versions_that_no_test_has_seen_are_warned_of() {
        let warns = |text: &str| {
            text.parse()
                .is_ok_and(|version: IstioVersion| version.warning().is_some())
        };
        assert!(["1.28", "1.29", "1.30", "1.31"].iter().all(|text| !warns(text)));
        assert!(["1.32", "1.40.1"].iter().all(|text| warns(text)));
    }
}
