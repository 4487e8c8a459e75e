//! The Mooring controller: it applies in a cluster what `mooring generate --from-cluster` would write, and reports the state of
//! policies in their status.

use std::{
    future::pending,
    io::{self, IsTerminal as _},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::FromArgMatches as _;
use kube::Client;
use mooring_controller::{
    cli::{self, Cli, LogFormat},
    health::Health,
    lease::{Campaign, Permit},
    metrics::Metrics,
    plan::Planner,
    reconcile, serve,
    transport::Transport,
};
use mooring_generator::{
    cluster::{Cluster, dns_domain},
    emit::istio,
    mesh::Mesh,
    source::Coverage,
};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing_subscriber::EnvFilter;

/// The input becomes very many small values.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// After which silence in an answer the connection counts as lost. Watches ask again before.
const SILENCE: Duration = Duration::from_secs(320);

fn main() -> anyhow::Result<()> {
    let mut command = cli::command();
    let cli = Cli::from_arg_matches(&command.get_matches_mut()).unwrap_or_else(|error| error.exit());
    let options = istio::Options::try_from(&cli.module)
        .unwrap_or_else(|invalid| command.error(clap::error::ErrorKind::ArgumentConflict, invalid).exit());
    start_log(cli.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let result = runtime.block_on(run(&cli, options));
    // A plan that is being made keeps the process no longer.
    runtime.shutdown_background();
    result
}

fn start_log(format: LogFormat) {
    // The crate kube-client logs each failed request without its cause, while each part here tells of a problem when it begins.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,kube=warn,kube_client=off"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(io::stdout().is_terminal());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

async fn run(cli: &Cli, options: istio::Options) -> anyhow::Result<()> {
    let cluster = Cluster {
        kubeconfig: cli.kubeconfig.clone(),
        context: cli.context.clone(),
        namespaces: cli.namespaces.clone(),
        ..Cluster::default()
    };
    let mut config = cluster.config().await?;
    config.read_timeout = Some(SILENCE);
    let client = Client::try_from(config)?;
    let listener = serve::bind(cli.listen)
        .await
        .with_context(|| format!("cannot listen on {}", cli.listen))?;
    let mesh = Mesh {
        dns_domain: Some(dns_domain(&client).await),
        ..Mesh::from(&cli.module.mesh)
    };
    let coverage = if cli.namespaces.is_empty() {
        Coverage::Everything
    } else {
        Coverage::Namespaces(cli.namespaces.iter().cloned().collect())
    };
    let (health, metrics) = (Health::default(), Metrics::new());
    let mut campaign = (!cli.apply.dry_run).then(|| Campaign::start(&client, &cli.lease, metrics.clone()));
    let permit = campaign.as_ref().map_or(Permit::DryRun, Campaign::permit);
    let transport = Transport::new(client, permit, health.clone(), metrics.clone());
    let planner = Planner::new(options, mesh, coverage).verified_every(cli.verify_plan);
    let (states, mut tasks) = reconcile::start(&transport, &cli.namespaces, planner, cli.apply, &cli.keys, &cli.status);
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let lost = async {
        match &mut campaign {
            Some(campaign) => campaign.ended().await,
            None => pending().await,
        }
    };
    tokio::select! {
        _ = terminated.recv() => info!("ends on SIGTERM"),
        _ = interrupted.recv() => info!("ends on SIGINT"),
        ended = tasks.join_next() => bail!("a loop of the controller ended: {ended:?}"),
        ended = serve::serve(listener, health, states, metrics) => bail!("the HTTP server ended: {ended:?}"),
        // Another replica may write from now on. What this one knows is of no use, so it begins again.
        ended = lost => bail!(ended),
    }
    // What was written is complete before another replica takes over.
    transport.close().await;
    tasks.shutdown().await;
    if let Some(campaign) = campaign {
        info!(lease = %campaign.release().await, "ended");
    }
    Ok(())
}
