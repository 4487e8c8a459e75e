//! The situations that are measured, and how: all gateways of a situation alive, short runs in rotating order.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{
    gateway::{Gateway, Kind, Run},
    load::Load,
    machine::Processors,
    options::Effort,
    user::{HOSTNAME, Protocol, Request},
    variant::{PLAIN, Recipe, Variant, path},
};

use Variant::{Empty, Mooring, MooringSplit, Native, NoFilter, Pieces};

/// The application's own cookies in most situations.
pub(crate) const COOKIES: &str = "theme=dark; lang=en";

/// One situation, by the name that selects it on the command line.
#[derive(Clone, Debug)]
pub(crate) struct Situation {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    fleet: Fleet,
    kind: Kind,
    protocol: Protocol,
    cookies: Cookies,
    paced: bool,
}

#[derive(Clone, Copy, Debug)]
enum Cookies {
    None,
    Few,
    Thirty,
}

/// The gateways that are alive side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fleet {
    members: Members,
    routes: usize,
    workers: u32,
    tls: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Members {
    /// These variants.
    Variants(&'static [Variant]),
    /// Mooring with so many rules in the plugin configuration.
    Rules(&'static [usize]),
}

/// What was measured of one gateway in one situation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Series {
    pub(crate) label: String,
    /// In the order of the rounds.
    pub(crate) runs: Vec<Run>,
    /// At the end, in bytes.
    pub(crate) resident: u64,
}

/// What was measured in one situation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) title: String,
    /// At a given rate: how many requests a second, in the median round.
    pub(crate) target_rate: Option<f64>,
    pub(crate) series: Vec<Series>,
}

const ALL: Members = Members::Variants(&Variant::ALL);
const BASE: Fleet = Fleet {
    members: ALL,
    routes: 1,
    workers: 1,
    tls: false,
};
const SMALL: Members = Members::Variants(&[NoFilter, Native, Mooring, MooringSplit]);
const TABLE: Members = Members::Variants(&[NoFilter, Native, Empty, Pieces, Mooring]);

/// All of them, those of one fleet together.
pub(crate) fn situations() -> Vec<Situation> {
    let base = |name, title, kind| Situation {
        name,
        title,
        fleet: BASE,
        kind,
        protocol: Protocol::Http1,
        cookies: Cookies::Few,
        paced: false,
    };
    let live = |name, title| base(name, title, Kind::Live);
    let fleet = |situation: Situation, fleet| Situation { fleet, ..situation };
    vec![
        live("live", "live session"),
        base("new", "new session with every request", Kind::New),
        Situation {
            cookies: Cookies::None,
            ..base("unmatched", "no cookie, on a route without a rule", Kind::Unmatched)
        },
        Situation {
            cookies: Cookies::Thirty,
            ..live("cookies", "live session, its cookie among 30 others")
        },
        Situation {
            protocol: Protocol::Http2,
            ..live("http2", "live session, HTTP/2")
        },
        Situation {
            paced: true,
            ..live("paced", "live session, at 70 % of the rate that saturates the slowest")
        },
        fleet(
            live(
                "rules",
                "live session, many rules in the plugin configuration, one route in Envoy",
            ),
            Fleet {
                members: Members::Rules(&[1, 100, 1000]),
                ..BASE
            },
        ),
        fleet(
            live("routes-100", "live session, the last of 100 rules in one virtual host"),
            Fleet {
                members: TABLE,
                routes: 100,
                ..BASE
            },
        ),
        fleet(
            live(
                "routes-1000",
                "live session, the last of 1,000 rules in one virtual host",
            ),
            Fleet {
                members: TABLE,
                routes: 1000,
                ..BASE
            },
        ),
        fleet(
            live("workers", "live session, two workers"),
            Fleet {
                members: SMALL,
                workers: 2,
                ..BASE
            },
        ),
        Situation {
            protocol: Protocol::Tls,
            ..fleet(
                live("tls", "live session, TLS 1.3 to the client"),
                Fleet {
                    members: SMALL,
                    tls: true,
                    ..BASE
                },
            )
        },
    ]
}

/// The gateways that are running, kept from one situation to the next while it wants the same.
pub(crate) struct Bench<'a> {
    pods: &'a [Ipv4Addr],
    processors: &'a Processors,
    effort: Effort,
    running: Option<(Fleet, Vec<Gateway>)>,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(pods: &'a [Ipv4Addr], processors: &'a Processors, effort: Effort) -> Self {
        Self {
            pods,
            processors,
            effort,
            running: None,
        }
    }

    /// Measures one situation.
    pub(crate) async fn measure(&mut self, situation: &Situation) -> Result<Measured> {
        self.start(&situation.fleet).await?;
        let load = Load {
            protocol: situation.protocol,
            request: Request {
                host: HOSTNAME,
                path: if situation.kind == Kind::Unmatched {
                    PLAIN.to_owned()
                } else {
                    path(situation.fleet.routes)
                },
                cookies: cookies(situation.cookies),
            },
            pinned: false,
            rate: None,
            duration: self.effort.run,
        };
        self.rounds(&load, situation).await.with_context(|| situation.title)
    }

    async fn rounds(&self, load: &Load, situation: &Situation) -> Result<Measured> {
        let gateways = self.gateways();
        let kind = situation.kind;
        let mut runs: BTreeMap<&str, Vec<Run>> = BTreeMap::new();
        // The first run of each is not counted: connections to the upstream are made in it.
        let warm_up = Load {
            duration: Duration::from_millis(200),
            ..load.clone()
        };
        for gateway in gateways {
            gateway.run(&warm_up, kind).await?;
        }
        let mut rates = Vec::new();
        for round in 0..self.effort.rounds {
            let rate = if situation.paced {
                Some((self.saturation(load).await? * 0.7).round())
            } else {
                None
            };
            rates.extend(rate);
            let load = &Load { rate, ..load.clone() };
            for place in 0..gateways.len() {
                let Some(gateway) = gateways.get((round + place) % gateways.len()) else {
                    continue;
                };
                runs.entry(&gateway.label)
                    .or_default()
                    .push(gateway.run(load, kind).await?);
            }
        }
        let series = gateways.iter().map(|gateway| {
            Ok(Series {
                label: gateway.label.clone(),
                runs: runs.remove(gateway.label.as_str()).unwrap_or_default(),
                resident: gateway.resident_bytes()?,
            })
        });
        Ok(Measured {
            name: situation.name.to_owned(),
            title: situation.title.to_owned(),
            target_rate: situation.paced.then(|| median(rates)),
            series: series.collect::<Result<_>>()?,
        })
    }

    /// The rate at which the slowest gateway has no time left. Measured before every round: a shared machine can be half
    /// as fast a minute later, and then a rate that was 70 % of it is more than it can do.
    async fn saturation(&self, load: &Load) -> Result<f64> {
        let mut least = f64::INFINITY;
        for gateway in self.gateways() {
            least = least.min(gateway.run(load, Kind::Live).await?.rate);
        }
        Ok(least)
    }

    async fn start(&mut self, fleet: &Fleet) -> Result<()> {
        if self.running.as_ref().is_some_and(|(running, _)| running == fleet) {
            return Ok(());
        }
        self.running = None;
        let mut gateways = Vec::new();
        for (label, recipe) in fleet.recipes() {
            gateways.push(Gateway::start(&label, &recipe, fleet.workers, self.pods, self.processors).await?);
        }
        self.running = Some((fleet.clone(), gateways));
        Ok(())
    }

    fn gateways(&self) -> &[Gateway] {
        self.running
            .as_ref()
            .map(|(_, gateways)| gateways.as_slice())
            .unwrap_or_default()
    }

    /// The version of the Envoy that is running.
    pub(crate) async fn envoy_version(&self) -> Result<String> {
        self.gateways().first().context("an Envoy")?.version().await
    }
}

impl Fleet {
    fn recipes(&self) -> Vec<(String, Recipe)> {
        let recipe = |variant| Recipe {
            routes: self.routes,
            tls: self.tls,
            ..Recipe::new(variant)
        };
        match self.members {
            Members::Variants(variants) => variants
                .iter()
                .map(|&variant| (variant.title().to_owned(), recipe(variant)))
                .collect(),
            Members::Rules(counts) => {
                let with_rules = |&count: &usize| Recipe {
                    idle_rules: count - 1,
                    ..recipe(Mooring)
                };
                counts
                    .iter()
                    .map(|count| (rules_label(*count), with_rules(count)))
                    .collect()
            }
        }
    }
}

/// What the gateway with so many rules is called.
pub(crate) fn rules_label(count: usize) -> String {
    format!("Mooring, rules: {count}")
}

fn cookies(cookies: Cookies) -> String {
    match cookies {
        Cookies::None => String::new(),
        Cookies::Few => COOKIES.to_owned(),
        Cookies::Thirty => {
            let one = |number| format!("_application_{number:02}=GA1.2.{number}314159265.1763713371");
            (0..30).map(one).collect::<Vec<_>>().join("; ")
        }
    }
}

/// The value in the middle.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    quartiles(values).1
}

/// The values at a quarter, the half and three quarters of the way.
pub(crate) fn quartiles(values: impl IntoIterator<Item = f64>) -> (f64, f64, f64) {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = share * sorted.len().saturating_sub(1) as f64;
        let (low, high) = (place.floor() as usize, place.ceil() as usize);
        let value = |position| sorted.get(position).copied().unwrap_or(f64::NAN);
        value(low) + (value(high) - value(low)) * (place - place.floor())
    };
    (at(0.25), at(0.5), at(0.75))
}
