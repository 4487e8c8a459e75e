//! Plugin configurations and requests out of bytes. Most of the values come from a few, so that rules fit requests and
//! configurations are accepted; the others can be anything.

use arbitrary::{Arbitrary, Result, Unstructured};
use mooring_policy::{canary::expression_size, config, duration::Duration};

/// A text out of a short list, or any. Where the bytes have come to an end it is the first of the list.
fn word<'a>(u: &mut Unstructured<'a>, usual: &[&'static str]) -> Result<&'a str> {
    match u8::arbitrary(u)? {
        240.. => u.arbitrary(),
        choice => Ok(usual[usize::from(choice) % usual.len()]),
    }
}

/// Nothing, seconds, or any duration that can be written.
fn duration(u: &mut Unstructured) -> Result<Option<Duration>> {
    Ok(match u8::arbitrary(u)? {
        0..96 => None,
        96..224 => Some(Duration::from_secs(u.arbitrary::<u16>()?.into())),
        224..248 => Some(Duration::from_secs(u.arbitrary()?)),
        248.. => u.arbitrary::<&str>()?.parse().ok(),
    })
}

/// How the sessions of a rule are kept.
#[derive(Clone, Debug)]
pub struct Session(config::SessionConfig);

impl<'a> Arbitrary<'a> for Session {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let names = ["shop", "x-session", "__Host-shop", "__Secure-shop", "user"];
        let header = u.ratio(1, 4)?;
        Ok(Self(config::SessionConfig {
            name: word(u, &names)?.to_owned(),
            transport: if header {
                config::Transport::Header
            } else {
                config::Transport::Cookie
            },
            bound_to: *u.choose(&[config::BoundTo::Host, config::BoundTo::Backend])?,
            absolute_timeout: duration(u)?,
            idle_timeout: duration(u)?,
            refresh_interval: duration(u)?,
            strict: u.arbitrary()?,
            forward_token: u.arbitrary()?,
            cookie: if header && u.ratio(7, 8)? {
                config::CookieConfig::default()
            } else {
                cookie(u)?
            },
        }))
    }
}

impl From<Session> for config::SessionConfig {
    fn from(Session(session): Session) -> Self {
        session
    }
}

fn cookie(u: &mut Unstructured) -> Result<config::CookieConfig> {
    use config::{LifetimeType, SameSite, Secure};
    let domain = word(u, &["", "example.com", ".example.com"])?;
    Ok(config::CookieConfig {
        lifetime_type: *u.choose(&[LifetimeType::Session, LifetimeType::Permanent])?,
        path: word(u, &["/", "/shop", "/a b"])?.to_owned(),
        domain: (!domain.is_empty()).then(|| domain.to_owned()),
        same_site: *u.choose(&[SameSite::Lax, SameSite::Strict, SameSite::None])?,
        secure: *u.choose(&[Secure::Auto, Secure::Always, Secure::Never])?,
        http_only: u.arbitrary()?,
        partitioned: u.arbitrary()?,
        private_cache: u.arbitrary()?,
    })
}

/// The keys of backends: they differ in one part each.
pub const KEYS: [&str; 4] = ["a.shop:80", "b.shop:80", "b.shop:80/v1", "d.example.com:443"];

/// The backends of a rule.
#[derive(Clone, Debug)]
pub struct Backends(Vec<config::BackendConfig>);

impl<'a> Arbitrary<'a> for Backends {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let count = u.int_in_range(1..=4)?;
        let keys = KEYS.iter().take(count);
        let backend = |key: &&str| {
            let weight = match u8::arbitrary(u)? {
                weight @ 0..=100 => Some(weight.into()),
                101..=199 => Some(1),
                200..=254 => None,
                255 => u.arbitrary()?,
            };
            Ok(config::BackendConfig {
                key: (*key).to_owned(),
                weight,
                released: u.ratio(1, 8)?,
                version: if u.ratio(1, 4)? {
                    Some(word(u, &["v1", "v2", "6c5f9b7d4"])?.to_owned())
                } else {
                    None
                },
                weight_zero: u.ratio(1, 8)?,
            })
        };
        keys.map(backend).collect::<Result<_>>().map(Self)
    }
}

impl From<Backends> for Vec<config::BackendConfig> {
    fn from(Backends(backends): Backends) -> Self {
        backends
    }
}

/// Canary routing, and the backends of the match rules.
#[derive(Clone, Debug)]
pub struct Canary {
    /// For all rules.
    pub config: config::CanaryConfig,
    /// For one.
    pub of_rule: config::RuleCanaryConfig,
}

impl<'a> Arbitrary<'a> for Canary {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let (mut rules, mut backends) = (Vec::new(), Vec::new());
        for position in 0..u.int_in_range(0..=3)? {
            // Mostly one that the rule has.
            let backend = match u8::arbitrary(u)? {
                backend @ 0..240 => Some(usize::from(backend) % KEYS.len()),
                240..248 => None,
                248.. => Some(u.arbitrary()?),
            };
            backends.push(backend);
            rules.push(canary_rule(u, position)?);
        }
        let config = config::CanaryConfig {
            name: "shop/canary".to_owned(),
            rules,
            override_session: *u.choose(&[config::Override::Always, config::Override::Never])?,
            hash_on: if u.ratio(1, 3)? { Some(source(u)?) } else { None },
            seed: if u.ratio(1, 4)? {
                Some(word(u, &KEYS)?.to_owned())
            } else {
                None
            },
        };
        let of_rule = config::RuleCanaryConfig { position: 0, backends };
        Ok(Self { config, of_rule })
    }
}

fn canary_rule(u: &mut Unstructured, position: u8) -> Result<config::MatchRuleConfig> {
    let mut rule = config::MatchRuleConfig {
        name: format!("rule-{position}"),
        matches: Vec::new(),
        opt_in: if u.ratio(1, 4)? { Some(source(u)?) } else { None },
    };
    if rule.opt_in.is_none() {
        for _ in 0..u.int_in_range(1..=3)? {
            rule.matches.push(condition(u)?);
        }
    }
    Ok(rule)
}

fn condition(u: &mut Unstructured) -> Result<config::MatchConfig> {
    use config::MatchType::{Absent, Contains, Exact, Prefix, Present, RegularExpression, Suffix};
    let on = source(u)?;
    let kind = *u.choose(&[Exact, Prefix, Suffix, Contains, RegularExpression, Present, Absent])?;
    let value = match kind {
        Present | Absent => None,
        RegularExpression => Some(word(u, EXPRESSIONS)?),
        _ => Some(word(u, VALUES)?),
    };
    // Without a size, an expression counts as a large one.
    let pattern = value.filter(|value| kind == RegularExpression && value.len() < 32);
    Ok(config::MatchConfig {
        on,
        match_type: kind,
        value: value.map(str::to_owned),
        compiled_size: pattern.and_then(|pattern| expression_size(pattern).ok()),
    })
}

/// The names of headers and cookies of a request.
const NAMES: &[&str] = &["user", "beta", "x-session", "shop"];

/// Their values.
const VALUES: &[&str] = &["a", "b", "ab", "AB", "abba", "always", "never", "ä", ""];

/// What is asked of them.
const EXPRESSIONS: &[&str] = &["a+", "b|ab", ".*b", "[ab]{2,3}", "(?i)AB", "ä", ".+"];

fn source(u: &mut Unstructured) -> Result<config::SourceConfig> {
    let name = word(u, NAMES)?.to_owned();
    Ok(if u.arbitrary()? {
        config::SourceConfig::Header(name)
    } else {
        config::SourceConfig::Cookie(name)
    })
}

/// The headers of a request.
#[derive(Clone, Debug, Default)]
pub struct Headers(pub Vec<(String, Vec<u8>)>);

impl<'a> Arbitrary<'a> for Headers {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut lines = Vec::new();
        for _ in 0..u.int_in_range(0..=4)? {
            if u.arbitrary()? {
                let pairs: Vec<Vec<u8>> = (0..u.int_in_range(0..=3)?)
                    .map(|_| Ok([word(u, NAMES)?.as_bytes(), b"=", &value(u)?].concat()))
                    .collect::<Result<_>>()?;
                lines.push((word(u, &["cookie", "Cookie"])?.to_owned(), pairs.join(b"; ".as_slice())));
            } else {
                lines.push((word(u, NAMES)?.to_owned(), value(u)?));
            }
        }
        Ok(Self(lines))
    }
}

fn value(u: &mut Unstructured) -> Result<Vec<u8>> {
    Ok(match u.ratio(1, 8)? {
        true => u.arbitrary::<&[u8]>()?.to_vec(),
        false => word(u, VALUES)?.as_bytes().to_vec(),
    })
}

/// A text as a regular expression, and a value.
#[derive(Clone, Debug)]
pub struct Question(pub String, pub Vec<u8>);

impl<'a> Arbitrary<'a> for Question {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(word(u, EXPRESSIONS)?.to_owned(), value(u)?))
    }
}

/// One rule, and its canary.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The rule.
    pub rule: config::RuleConfig,
    /// The canary.
    pub canary: Option<config::CanaryConfig>,
}

impl<'a> Arbitrary<'a> for Rule {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let ids = [
            "HTTPRoute/shop/web#0",
            "HTTPRoute/shop/web#1",
            "HTTPRoute/shop/web/named",
        ];
        let session: Option<Session> = if u.ratio(7, 8)? { Some(u.arbitrary()?) } else { None };
        let canary: Option<Canary> = if u.arbitrary()? { Some(u.arbitrary()?) } else { None };
        let (canary, of_rule) = canary.map(|canary| (canary.config, canary.of_rule)).unzip();
        let rule = config::RuleConfig {
            route: "route".to_owned(),
            virtual_hosts: vec!["shop.example:80".to_owned()],
            id: word(u, &ids)?.to_owned(),
            session: session.map(Into::into),
            backends: Backends::arbitrary(u)?.into(),
            canary: of_rule,
            rebalance: u.ratio(1, 8)?,
        };
        Ok(Self { rule, canary })
    }
}
