//! The arguments of `mooring explain`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{
    input::{InputArgs, MeshArgs},
    values,
};
use crate::{explain::ConfigSource, token::time::Time};

/// `mooring explain`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Routes are those that a local Envoy would have (mooring generate --target envoy), in the order of istiod. If the input has a WasmPlugin \
that Mooring generated for the proxy, mooring explain decides by the rules in it, because they are what the proxy runs, and says where they \
differ from the rules that would be generated. --from-cluster reads the WasmPlugins and EnvoyFilters of the cluster too.

Without --keys, tokens are not opened, and the request counts as one without a session.

Of several Gateways, the port and --gateway select one.

Exit status:
  0  a route takes the request
  1  no route takes the request, or something cannot be read
  2  the flags are invalid

Examples:
  mooring explain -f manifests/ --url http://shop.example.com/cart
  mooring explain -f manifests/ --method POST --url http://shop.example.com/cart -H 'x-user: 7' --cookie 'cart-session=AgEBxyz'
  mooring explain -f manifests/ -f applied.yaml --url http://shop.example.com/cart --keys keys.txt --at 2026-11-26T03:00:00Z
  mooring explain --from-cluster --url http://shop.example.com/cart -o json | jq .decision")]
pub struct Explain {
    /// The URL of the request, with http:// or https://
    #[arg(long, value_name = "URL")]
    pub url: String,

    /// The port of the listener, which clients may reach by another one. Default: the port of the URL, else 80, or 443 for https://
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,

    /// The method of the request
    #[arg(long, value_name = "METHOD", value_parser = values::method, default_value = "GET")]
    pub method: String,

    /// A header of the request; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = values::header)]
    pub headers: Vec<(String, String)>,

    /// A cookie of the request; may be repeated
    #[arg(long = "cookie", value_name = "NAME=VALUE", value_parser = values::cookie)]
    pub cookies: Vec<String>,

    /// The time of the request, such as 2026-11-26T03:00:00Z, or how long ago it was, such as 5m. Default: now
    #[arg(long, value_name = "TIME")]
    pub at: Option<Time>,

    /// A file with the key ring of the gateway, or - for the standard input, to open the tokens of the request: the ring alone, or its
    /// Secret as kubectl get --output json prints it
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,

    /// Whose rules decide
    #[arg(long, value_enum, default_value_t = ConfigSource::Auto, value_name = "SOURCE")]
    pub config: ConfigSource,

    /// The input.
    #[command(flatten)]
    pub input: InputArgs,

    /// Facts about gateways and their cluster that are not in the input.
    #[command(flatten)]
    pub mesh: MeshArgs,

    /// Output format
    #[arg(short, long, value_enum, default_value_t = ExplanationFormat::Text)]
    pub output: ExplanationFormat,
}

/// The format of an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExplanationFormat {
    /// Lines with labels, for people
    Text,
    /// One JSON object, for programs
    Json,
}
