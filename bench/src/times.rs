//! The processor time of a request: all gateways are alive side by side and take short runs in an order that rotates.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use mooring_tests::Site;

use crate::{
    Found,
    gateway::{Gateway, Kind},
    load::Load,
    machine::Processors,
    options::Effort,
    statistics::quartiles,
    variant::{Setup, Variant},
};

use Variant::{Empty, Filters, Mooring, MooringSplit, Native, NoFilter};

/// What is measured.
const KINDS: [(Kind, &str); 3] = [
    (Kind::Live, "live session"),
    (Kind::New, "new session"),
    (Kind::Unmatched, "route without a rule"),
];
/// The gateways.
const GATEWAYS: [Variant; 6] = [NoFilter, Native, Empty, Filters, Mooring, MooringSplit];
/// Those that are compared with the native cookie, round by round.
const COMPARED: [Variant; 2] = [Mooring, MooringSplit];

/// The microseconds of one gateway and kind in each round.
struct Series {
    variant: Variant,
    kind: Kind,
    rounds: Vec<f64>,
}

/// Measures all of them.
pub(crate) async fn measure(pods: &[Ipv4Addr], processors: &Processors, effort: Effort) -> Result<Found> {
    let mut gateways = Vec::new();
    for variant in GATEWAYS {
        let site = Site::fresh();
        let setup = Setup::gateway(variant, 1);
        gateways.push(Gateway::start(setup, 1, site, setup.bootstrap(site, pods)?, processors).await?);
    }
    let envoy = gateways.first().context("a gateway")?.version().await;
    let mut all = Vec::new();
    for (kind, title) in KINDS {
        eprintln!("  {title}");
        all.extend(rounds(&gateways, kind, effort).await?);
    }
    Ok(Found {
        envoy: Some(envoy),
        text: table(&all, effort),
    })
}

async fn rounds(gateways: &[Gateway], kind: Kind, effort: Effort) -> Result<Vec<Series>> {
    let load = Load {
        request: kind.request(Setup::gateway(Mooring, 1)),
        keep: false,
        duration: effort.run,
    };
    let empty = |gateway: &Gateway| Series {
        variant: gateway.setup.variant,
        kind,
        rounds: Vec::new(),
    };
    let mut all: Vec<Series> = gateways.iter().map(empty).collect();
    // The first run of each is not counted: connections to the upstream are made in it.
    for round in 0..=effort.rounds {
        for place in 0..gateways.len() {
            let place = (round + place) % gateways.len();
            if let (Some(gateway), Some(series)) = (gateways.get(place), all.get_mut(place)) {
                let taken = gateway.run(&load, kind).await?;
                series.rounds.extend((round > 0).then_some(taken));
            }
        }
    }
    Ok(all)
}

fn table(all: &[Series], effort: Effort) -> String {
    let titles = KINDS.map(|(_, title)| title).join(" | ");
    let mut text = format!(
        "Processor time of the whole Envoy process for one request, in microseconds: the median of {} rounds, and its quartiles.\n\n\
         | gateway | {titles} |\n|---|---|---|---|\n",
        effort.rounds
    );
    let series = |variant, kind| all.iter().find(|one| one.variant == variant && one.kind == kind);
    let mut row = |title: &str, values: &dyn Fn(Kind) -> Option<String>| {
        let cells = KINDS.map(|(kind, _)| values(kind).unwrap_or_default());
        text += &format!("| {title} | {} |\n", cells.join(" | "));
    };
    for variant in GATEWAYS {
        row(variant.title(), &|kind| {
            let (low, middle, high) = quartiles(series(variant, kind)?.rounds.iter().copied());
            Some(format!("{middle:.0} ({low:.0} to {high:.0})"))
        });
    }
    for variant in COMPARED {
        row(&format!("{}, against the native cookie", variant.title()), &|kind| {
            let (one, other) = (series(variant, kind)?, series(Native, kind)?);
            let ratios = one.rounds.iter().zip(&other.rounds).map(|(one, other)| one / other);
            let (low, middle, high) = quartiles(ratios);
            Some(format!("{middle:.2} ({low:.2} to {high:.2})"))
        });
    }
    text
}
