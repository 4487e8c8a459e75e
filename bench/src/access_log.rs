//! What `--access-log` adds to a request: the text that the module makes, and the calls that hand it to Envoy.

use std::net::Ipv4Addr;

use anyhow::Result;

use crate::{
    Found,
    gateway::Kind,
    instructions::Counting,
    variant::{Setup, Variant},
};

/// The gateways, without and with the flag.
const COMPARED: [[Variant; 2]; 2] = [
    [Variant::Mooring, Variant::MooringLog],
    [Variant::MooringSplit, Variant::MooringSplitLog],
];

/// Counts live and new sessions on each gateway.
pub(crate) async fn measure(pods: &[Ipv4Addr]) -> Result<Found> {
    let mut text = "In thousands for one request over HTTP/1.1, those of the kernel not counted.\n\n\
         | gateway | session | without | with `--access-log` | added | of these the module's own |\n\
         |---|---|---|---|---|---|\n"
        .to_owned();
    let mut envoy = None;
    for [without, with] in COMPARED.map(|pair| pair.map(|variant| Setup::gateway(variant, 1))) {
        eprintln!("  {}", with.title());
        let (off, on) = (
            Counting::start(without, pods).await?,
            Counting::start(with, pods).await?,
        );
        for (session, kind) in [("live", Kind::Live), ("new", Kind::New)] {
            let (off, on) = (off.count(kind).await?, on.count(kind).await?);
            let thousands = |count: u64| format!("{:.1}", count as f64 / 1000.0);
            text += &format!(
                "| {} | {session} | {} | {} | {} | {} |\n",
                without.title(),
                thousands(off.all),
                thousands(on.all),
                thousands(on.all.saturating_sub(off.all)),
                thousands(on.module.saturating_sub(off.module)),
            );
        }
        envoy = Some(on.version().await);
    }
    Ok(Found { envoy, text })
}
