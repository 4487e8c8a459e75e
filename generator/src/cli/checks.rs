//! Checks of flags that depend on each other, and the options that they make.

use std::collections::BTreeMap;

use super::{generate::GenerateArgs, input::MeshArgs, module::ModuleArgs, plugin::ObjectArgs, values};
use crate::{
    emit::{
        FailStrategy, envoy,
        istio::{self, Annotation, Label, Metadata, Phase, Plugin, PullPolicy},
        target::Target,
    },
    generate::TargetOptions,
    mesh::Mesh,
};

/// Flags that contradict each other or the target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFlags {
    /// A flag is for the other target.
    #[error("{flag} can only be used with --target {target}")]
    OtherTarget {
        /// The flag.
        flag: &'static str,
        /// The target that has it.
        target: &'static str,
    },
    /// Istio fetches the module from a URL.
    #[error("--wasm must be a URL for --target istio: oci://, https://, http:// or file://")]
    NotAUrl,
    /// The generated objects must not hold a password.
    #[error(
        "--wasm must not have a user name or password in its URL: everyone who can read the WasmPlugin would see them"
    )]
    UserInfo,
    /// A local Envoy reads the module from a file.
    #[error("--wasm must be the path of a file for --target envoy")]
    NotAPath,
    /// The flag and the URL name different checksums.
    #[error("--wasm-sha256 differs from the checksum in the URL of --wasm: omit one of them")]
    OtherChecksum,
    /// Istio does not verify the checksum of a file.
    #[error(
        "--wasm-sha256 can only be used with oci://, https:// and http://: Istio does not verify the checksum of a file://"
    )]
    UncheckedFile,
    /// The checksum in the URL is invalid.
    #[error("the checksum in the URL of --wasm is not 64 lower-case hexadecimal digits")]
    NoChecksum,
    /// Two selectors of callers select the same pods, which would run the module twice.
    #[error("--callers {0} and --callers {1} select the same pods: keep one of them")]
    SameCallers(String, String),
    /// Credentials without an image.
    #[error("--image-pull-secret can only be used with oci://: Istio does not use it for other URLs")]
    SecretWithoutImage,
    /// A file is not fetched.
    #[error("--image-pull-policy cannot be used with file://: Envoy reads the file itself")]
    PolicyOfFile,
    /// What has a checksum is not fetched again.
    #[error(
        "--image-pull-policy Always has no effect with a checksum: Istio never fetches a module again whose checksum it has. Omit \
         one of them"
    )]
    AlwaysWithChecksum,
    /// The phase breaks sessions.
    #[error(
        "--plugin-phase AUTHN breaks sessions: the module would look up its session before authentication, and a route can depend \
         on the claims of a token that authentication reads. Use AUTHZ, STATS or the default"
    )]
    BeforeAuthentication,
    /// A key is given twice.
    #[error("{0} has the key {1} twice")]
    Twice(&'static str, String),
    /// A port is mapped twice.
    #[error("--listen maps the port {0} twice")]
    ListenTwice(u16),
}

impl TryFrom<&GenerateArgs> for TargetOptions {
    type Error = InvalidFlags;

    fn try_from(flags: &GenerateArgs) -> Result<Self, InvalidFlags> {
        match flags.target {
            Target::Istio => istio_options(flags).map(Self::Istio),
            Target::Envoy => envoy_options(flags).map(Self::Envoy),
        }
    }
}

fn istio_options(flags: &GenerateArgs) -> Result<istio::Options, InvalidFlags> {
    of_target(
        "envoy",
        [
            ("--admin", flags.admin.is_some()),
            ("--listen", !flags.listen.is_empty()),
        ],
    )?;
    Ok(istio::Options {
        prunes: flags.prunes(),
        ..istio::Options::try_from(&flags.module)?
    })
}

impl TryFrom<&ModuleArgs> for istio::Options {
    type Error = InvalidFlags;

    fn try_from(flags: &ModuleArgs) -> Result<Self, InvalidFlags> {
        check_callers(&flags.mesh)?;
        let schemes = ["oci://", "https://", "http://", "file://"];
        if !schemes.iter().any(|scheme| flags.wasm.starts_with(scheme)) {
            return Err(InvalidFlags::NotAUrl);
        }
        if has_user_info(&flags.wasm) {
            return Err(InvalidFlags::UserInfo);
        }
        let sha256 = checksum(&flags.wasm, flags.wasm_sha256.as_deref())?;
        let plugin = Plugin {
            access_log: flags.access_log,
            weight_metric: flags.weight_metric,
            ..flags.objects.plugin(&flags.wasm, sha256.is_some())?
        };
        Ok(Self {
            url: flags.wasm.clone(),
            sha256,
            fail_strategy: flags.fail_strategy.unwrap_or(FailStrategy::Open),
            version: flags.istio_version.unwrap_or_default(),
            prunes: true,
            plugin,
            metadata: flags.objects.metadata()?,
        })
    }
}

/// Whether a URL has user information (RFC 3986, section 3.2.1). The `@` before a digest does not count.
fn has_user_info(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    let rest = match scheme {
        "oci" => rest.split_once("@sha256:").map_or(rest, |(image, _)| image),
        _ => rest,
    };
    let authority = rest.split(['/', '?', '#', '\\']).next();
    authority.is_some_and(|authority| authority.contains('@'))
}

/// The checksum that Istio verifies: that of the flag, or the digest of an `oci://` URL.
fn checksum(url: &str, flag: Option<&str>) -> Result<Option<String>, InvalidFlags> {
    if url.starts_with("file://") {
        return match flag {
            Some(_) => Err(InvalidFlags::UncheckedFile),
            None => Ok(None),
        };
    }
    let named = url
        .strip_prefix("oci://")
        .and_then(|image| image.split_once("@sha256:"));
    match (named.map(|(_, digest)| digest), flag) {
        (Some(digest), _) if values::sha256(digest).is_err() => Err(InvalidFlags::NoChecksum),
        (Some(digest), Some(flag)) if digest != flag => Err(InvalidFlags::OtherChecksum),
        (digest, flag) => Ok(flag.or(digest).map(str::to_owned)),
    }
}

/// Refuses the flag for a local Envoy, and callers of which one selector contains the other: their pods would run the
/// module twice.
pub fn check_callers(flags: &MeshArgs) -> Result<(), InvalidFlags> {
    of_target("envoy", [("--as-sidecar", flags.as_sidecar.is_some())])?;
    let pairs = flags.callers.iter().enumerate();
    let pairs = pairs.flat_map(|(position, one)| {
        flags
            .callers
            .iter()
            .skip(position.saturating_add(1))
            .map(move |other| (one, other))
    });
    match pairs
        .into_iter()
        .find(|(one, other)| one.contains(other) || other.contains(one))
    {
        Some((one, other)) => Err(InvalidFlags::SameCallers(one.to_string(), other.to_string())),
        None => Ok(()),
    }
}

/// Refuses flags about the pods of gateways: a local Envoy has no pods.
pub fn check_local(flags: &MeshArgs) -> Result<(), InvalidFlags> {
    of_target(
        "istio",
        [
            ("--gateway-namespace", !flags.gateway_namespace.is_empty()),
            ("--gateway-class", !flags.gateway_class.is_empty()),
            ("--callers", !flags.callers.is_empty()),
        ],
    )
}

/// Refuses flags that only one target has, if another one is generated.
pub(super) fn of_target<const N: usize>(
    target: &'static str,
    flags: [(&'static str, bool); N],
) -> Result<(), InvalidFlags> {
    match flags.into_iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(InvalidFlags::OtherTarget { flag, target }),
        None => Ok(()),
    }
}

fn envoy_options(flags: &GenerateArgs) -> Result<envoy::Options, InvalidFlags> {
    of_target(
        "istio",
        [
            ("--wasm-sha256", flags.module.wasm_sha256.is_some()),
            ("--istio-version", flags.module.istio_version.is_some()),
        ],
    )?;
    of_target("istio", flags.module.objects.given())?;
    check_local(&flags.module.mesh)?;
    let path = flags.module.wasm.strip_prefix("file://").unwrap_or(&flags.module.wasm);
    if path.is_empty() || path.contains("://") {
        return Err(InvalidFlags::NotAPath);
    }
    let mut listen = BTreeMap::new();
    for (port, address) in &flags.listen {
        if listen.insert(*port, *address).is_some() {
            return Err(InvalidFlags::ListenTwice(*port));
        }
    }
    let defaults = envoy::Options::default();
    Ok(envoy::Options {
        wasm: path.to_owned(),
        fail_strategy: flags.module.fail_strategy.unwrap_or(defaults.fail_strategy),
        access_log: flags.module.access_log,
        weight_metric: flags.module.weight_metric,
        admin: flags.admin.unwrap_or(defaults.admin),
        listen,
    })
}

impl From<&MeshArgs> for Mesh {
    fn from(args: &MeshArgs) -> Self {
        Self {
            gateways: args.gateway.iter().cloned().collect(),
            classes: args.gateway_class.iter().cloned().collect(),
            gateway_namespaces: args.gateway_namespace.iter().cloned().collect(),
            callers: args.callers.iter().chain(&args.as_sidecar).cloned().collect(),
            domain: args.cluster_domain.clone(),
            ..Self::default()
        }
    }
}

impl ObjectArgs {
    /// The options of the `WasmPlugin`s that fetch a module from this URL.
    fn plugin(&self, url: &str, has_checksum: bool) -> Result<Plugin, InvalidFlags> {
        if self.image_pull_secret.is_some() && !url.starts_with("oci://") {
            return Err(InvalidFlags::SecretWithoutImage);
        }
        if self.image_pull_policy.is_some() && url.starts_with("file://") {
            return Err(InvalidFlags::PolicyOfFile);
        }
        if self.image_pull_policy == Some(PullPolicy::Always) && has_checksum {
            return Err(InvalidFlags::AlwaysWithChecksum);
        }
        if self.plugin_phase == Some(Phase::Authn) {
            return Err(InvalidFlags::BeforeAuthentication);
        }
        Ok(Plugin {
            pull_secret: self.image_pull_secret.clone(),
            pull_policy: self.image_pull_policy,
            phase: self.plugin_phase,
            priority: self.plugin_priority,
            ..Plugin::default()
        })
    }

    /// The metadata of all objects.
    fn metadata(&self) -> Result<Metadata, InvalidFlags> {
        let mut metadata = Metadata::default();
        for Label { key, value } in &self.labels {
            if metadata.labels.insert(key.clone(), value.clone()).is_some() {
                return Err(InvalidFlags::Twice("--label", key.clone()));
            }
        }
        for Annotation { key, value } in &self.annotations {
            if metadata.annotations.insert(key.clone(), value.clone()).is_some() {
                return Err(InvalidFlags::Twice("--annotation", key.clone()));
            }
        }
        Ok(metadata)
    }
}
