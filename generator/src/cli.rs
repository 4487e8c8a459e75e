//! The command line: raw arguments, and what they mean once they are checked.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help text, where backticks would stay visible"
)]

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::dns;

/// Session persistence and sticky canary routing for stock Envoy, driven by Gateway API policies.
#[derive(Debug, Parser)]
#[command(name = "mooring", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the command can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Turn Gateway API policies into configuration for Istio or for a local Envoy
    Generate(Generate),
    /// Print a new key for the key ring that seals session tokens
    Keygen(Keygen),
    /// Print the custom resource definition of CanaryPolicy
    Crds,
}

/// `mooring generate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Reads BackendLBPolicy, XBackendTrafficPolicy, CanaryPolicy, Gateway, HTTPRoute, Service, EndpointSlice and \
ReferenceGrant, and of Istio VirtualService, DestinationRule, ServiceEntry and Gateway; other kinds are skipped. Exit status: 0 when something was generated, 1 when the input is wrong (nothing is written then), 2 when the \
flags are wrong.

Examples:
  mooring generate -f manifests/ --wasm oci://registry.example.com/mooring:1.0 > mooring.yaml
  mooring generate -f manifests/ --target envoy --wasm target/mooring.wasm > envoy.yaml")]
pub struct Generate {
    /// A file, a directory (its .yaml, .yml and .json files, recursively) or - for the standard input; may be repeated
    #[arg(short, long = "file", value_name = "FILE|DIR|-", required = true)]
    pub files: Vec<PathBuf>,

    /// What to generate: a WasmPlugin and an EnvoyFilter for each Istio gateway, or the bootstrap of one local Envoy
    #[arg(long, value_enum, default_value_t = TargetName::Istio)]
    pub target: TargetName,

    /// How to write it
    #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
    pub output: Format,

    /// Write one file for each object into this directory instead of all of them to the standard output
    #[arg(long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,

    /// Where the gateway finds the filter module: for Istio a URL (oci://, https://, http:// or file://), for Envoy the
    /// path of the file, such as target/mooring.wasm
    #[arg(long, value_name = "URL|PATH")]
    pub wasm: String,

    /// The SHA-256 of the module (https://) or of its image manifest (oci://), for Istio to check
    #[arg(long, value_name = "HEX", value_parser = sha256)]
    pub wasm_sha256: Option<String>,

    /// What happens to requests when the module cannot run. Default: open for Istio, so that traffic goes on without
    /// sessions; reload for Envoy
    #[arg(long, value_enum)]
    pub fail_strategy: Option<FailStrategy>,

    /// The namespace of the pods of Istio's own gateways (networking.istio.io), such as istio-system. Default: the
    /// namespace of the Gateway object
    #[arg(long, value_name = "NAMESPACE")]
    pub gateway_namespace: Option<String>,

    /// Where Envoy's admin interface listens (only with --target envoy). Default: 127.0.0.1:9901
    #[arg(long, value_name = "ADDR:PORT")]
    pub admin: Option<SocketAddr>,

    /// Where Envoy listens for a Gateway's port (only with --target envoy); may be repeated. Default: on 127.0.0.1 the
    /// same port, or below 1024, where only root may listen, the port plus 10000: 80 becomes 10080
    #[arg(long, value_name = "PORT=ADDR:PORT", value_parser = listen)]
    pub listen: Vec<(u16, SocketAddr)>,
}

/// `mooring keygen`.
#[derive(Debug, Args)]
#[command(after_help = "\
A key ring is a list of such entries, separated by commas or white space, in the environment variable MOORING_KEYS of every \
gateway. The first entry seals new tokens, all of them open tokens. To replace a key: append the new entry everywhere, \
move it to the front, and drop the old one when the last session that it sealed has expired.")]
pub struct Keygen {
    /// The key's id in the ring: two hexadecimal digits. Default: a random one
    #[arg(long, value_name = "HEX", value_parser = key_id)]
    pub id: Option<u8>,

    /// Print a Kubernetes Secret with the entry under the key MOORING_KEYS instead of the entry alone
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = secret_name)]
    pub secret: Option<(String, String)>,
}

/// For whom configuration is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TargetName {
    /// Istio gateways
    Istio,
    /// One local Envoy
    Envoy,
}

/// How output is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// YAML documents
    Yaml,
    /// JSON; several objects are a List
    Json,
}

/// What happens to requests when the module cannot run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailStrategy {
    /// They pass without sessions
    Open,
    /// They are refused
    Close,
    /// The module is loaded again, and they are refused until then
    Reload,
}

fn sha256(text: &str) -> Result<String, &'static str> {
    let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() == 64 && digits {
        Ok(text.to_owned())
    } else {
        Err("a SHA-256 is 64 lower-case hexadecimal digits")
    }
}

fn listen(text: &str) -> Result<(u16, SocketAddr), &'static str> {
    let wrong = "write the Gateway's port and an address with a port, such as 80=127.0.0.1:8080";
    let (port, address) = text.split_once('=').ok_or(wrong)?;
    Ok((port.parse().map_err(|_| wrong)?, address.parse().map_err(|_| wrong)?))
}

fn key_id(text: &str) -> Result<u8, &'static str> {
    let wrong = "a key id is two hexadecimal digits, such as 01 or a7";
    if text.len() != 2 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong);
    }
    u8::from_str_radix(text, 16).map_err(|_| wrong)
}

fn secret_name(text: &str) -> Result<(String, String), &'static str> {
    let (namespace, name) = text
        .split_once('/')
        .ok_or("write a namespace and a name, such as istio-ingress/mooring-keys")?;
    if !dns::is_name(namespace) || !dns::is_name(name) {
        return Err("names have lower-case letters, digits, - and . only");
    }
    Ok((namespace.to_owned(), name.to_owned()))
}
