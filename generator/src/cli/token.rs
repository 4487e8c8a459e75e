//! The arguments of `mooring token`.

use std::{path::PathBuf, str::FromStr as _};

use clap::{Args, Subcommand, ValueEnum};
use mooring_policy::{duration::Duration, share::Share};

use crate::token::{share, time::Time};

/// `mooring token`.
#[derive(Debug, Args)]
pub struct Token {
    /// What to do.
    #[command(subcommand)]
    pub command: TokenCommand,
}

/// The commands of `mooring token`.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Show what is in a session token
    Inspect(Inspect),
    /// Seal a session token, for tests
    Seal(Seal),
}

/// `mooring token inspect`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Without --keys, the output is what anyone can see: the format version, the id of the key and the length. With --keys, it is the backend \
and the host, when the session began and when it was last seen. The gateway renews the last-seen time when it is older than the refresh \
interval, so a session may have been seen later than its token says.

A token opens only for the rule and the session name for which it was sealed, and does not show them. Give the rules that it may belong to \
with --rule: mooring validate and the metrics of the gateway show their ids. The session name is that of the cookie or header.

The token and the keys are secrets: anyone with a token has its session, and anyone with a key can make sessions. A token on the command \
line is visible to other users of the machine, and one from the standard input is not. No output contains a key or the token.

Exit status:
  0  the token was shown. That a session has expired is part of the output
  1  it is not a token, it cannot be opened, or something cannot be read
  2  the flags are invalid

Examples:
  mooring token inspect AgEB...
  mooring token inspect --keys keys.txt --rule HTTPRoute/shop/cart/main --session cart < token.txt
  mooring token inspect 'Cookie: cart=AgEB...' --keys keys.txt --rule HTTPRoute/shop/cart/main --idle-timeout 30m
  kubectl get secret mooring-keys -n istio-ingress -o json | mooring token inspect cart=AgEB... --keys - --rule HTTPRoute/shop/cart#0")]
pub struct Inspect {
    /// The token: alone, as NAME=VALUE, or in a line Cookie: ..., Set-Cookie: ... or HEADER: VALUE. Default, and for -: the standard input
    #[arg(value_name = "TOKEN", allow_hyphen_values = true)]
    pub token: Option<String>,

    /// A file with the key ring of the gateway, or - for the standard input: the ring alone, or its Secret as kubectl get --output json
    /// prints it
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,

    /// The id of a rule that the token may belong to, such as HTTPRoute/shop/cart/main or HTTPRoute/shop/cart#0; may be repeated
    #[arg(long = "rule", value_name = "ID", requires = "keys")]
    pub rules: Vec<String>,

    /// The session name: that of the cookie or header. Default: the name beside the token
    #[arg(long, value_name = "NAME")]
    pub session: Option<String>,

    /// The absolute timeout of the session, to show what is left of it
    #[arg(long, value_name = "DURATION", requires = "keys", value_parser = Duration::from_str)]
    pub absolute_timeout: Option<Duration>,

    /// The idle timeout of the session, to show what is left of it
    #[arg(long, value_name = "DURATION", requires = "keys", value_parser = Duration::from_str)]
    pub idle_timeout: Option<Duration>,

    /// The time for which the ages are, such as 2026-01-31T12:00:00Z, or how long ago it was, such as 1h30m. Default: now
    #[arg(long, value_name = "TIME", value_parser = Time::from_str)]
    pub at: Option<Time>,

    /// Output format
    #[arg(short, long, value_enum, default_value_t = TokenFormat::Text)]
    pub output: TokenFormat,
}

/// `mooring token seal`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Prints a token for the session of a rule, as the gateway would seal it: to test a gateway, a policy or a dashboard without a browser. The \
first key of the ring seals it.

The backend key and the rule id are those that mooring token inspect shows for a token of the gateway. If the rule has \
no such backend, or the cluster no such host, the gateway moves the session to another one.

Exit status:
  0  the token was printed
  1  nothing was printed: the keys cannot be read or used, or the backend or the host is too long
  2  the flags are invalid

Examples:
  mooring token seal --keys keys.txt --rule HTTPRoute/shop/cart/main --session cart --backend cart-v2.shop:80
  curl -b cart=$(mooring token seal --keys keys.txt --rule HTTPRoute/shop/cart#0 --session cart --backend cart.shop:80 --issued 23h59m) \
http://shop.example.com/cart")]
pub struct Seal {
    /// A file with the key ring of the gateway, or - for the standard input: the ring alone, or its Secret as kubectl get --output json
    /// prints it
    #[arg(long, value_name = "FILE")]
    pub keys: PathBuf,

    /// The id of the rule, such as HTTPRoute/shop/cart/main or HTTPRoute/shop/cart#0
    #[arg(long, value_name = "ID")]
    pub rule: String,

    /// The session name: that of the cookie or header
    #[arg(long, value_name = "NAME")]
    pub session: String,

    /// The key of the backend, such as cart-v2.shop:80
    #[arg(long, value_name = "KEY")]
    pub backend: String,

    /// The version of the backend: the value of the label that the policy names. Default: unknown
    #[arg(long, value_name = "VERSION")]
    pub backend_version: Option<String>,

    /// The share of the backend when the session was last drawn, in percent with at most two decimals, for policies with rebalance.
    /// Default: unknown
    #[arg(long, value_name = "PERCENT", value_parser = share::parse)]
    pub backend_share: Option<Share>,

    /// The host, such as 10.0.0.7:8080. Default: any host of the backend
    #[arg(long, value_name = "ADDR:PORT")]
    pub host: Option<String>,

    /// When the session began, such as 2026-01-31T12:00:00Z, or how long ago it was, such as 1h30m. Default: now
    #[arg(long, value_name = "TIME", value_parser = Time::from_str)]
    pub issued: Option<Time>,

    /// When the session was last seen. Default: when it began
    #[arg(long, value_name = "TIME", value_parser = Time::from_str)]
    pub last_seen: Option<Time>,

    /// As if the cookie had been sent with the Secure attribute
    #[arg(long)]
    pub secure: bool,
}

/// How a token is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TokenFormat {
    /// A table, for people
    Text,
    /// One JSON object, for programs
    Json,
}
