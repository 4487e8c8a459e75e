//! How many instructions a request takes: nearly the same number every time, whatever else the machine does.
//!
//! Envoy runs in valgrind, whose callgrind counts the instructions outside the kernel.

use std::{fs, net::Ipv4Addr, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use mooring_tests::{Envoy, Site, settings};

use crate::{
    Found,
    counts::{self, Count, Counted},
    gateway::{self, Kind},
    goals, machine,
    user::User,
    variant::{Setup, Variant},
};

use Variant::{Mooring, MooringSplit, NoFilter};

/// How many requests are sent before any is counted, and how many are.
const WARM_UP: u64 = 100;
const REQUESTS: u64 = 100;
/// How often that is counted. The least counts: on a busy machine requests take longer, and what Envoy does by the clock is
/// in more of them.
const TIMES: usize = 5;

/// What is counted with the Envoy of a sidecar.
const SIDECARS: [Variant; 3] = [NoFilter, Mooring, MooringSplit];

/// The gateways that are counted with many rules, all in one virtual host.
const LARGE: [(Variant, usize); 4] = [
    (NoFilter, 100),
    (MooringSplit, 100),
    (NoFilter, 1_000),
    (Mooring, 1_000),
];

/// What a dump says where it does not know a file.
const UNKNOWN: &str = "???";
/// Valgrind loads Envoy itself below this address; V8 puts what it compiles far above.
const HIGHEST_OF_ENVOY: u64 = u32::MAX as u64;

/// Counts for every gateway. `quick`: with one rule only.
pub(crate) async fn measure(pods: &[Ipv4Addr], quick: bool) -> Result<Found> {
    let mut counted = Vec::new();
    let mut envoy = None;
    let large = LARGE.map(|(variant, routes)| Setup::gateway(variant, routes));
    let gateways = Variant::ALL.map(|variant| Setup::gateway(variant, 1));
    let sidecars = SIDECARS.map(|variant| Setup::sidecar(variant, 1));
    let small = gateways.into_iter().chain(sidecars);
    for setup in small.chain(large.into_iter().filter(|_| !quick)) {
        eprintln!("  {}, rules: {}", setup.title(), setup.routes);
        let gateway = Counting::start(setup, pods).await?;
        counted.push(Counted {
            setup,
            live: gateway.count(Kind::Live).await?,
            new: gateway.count(Kind::New).await?,
            unmatched: gateway.count(Kind::Unmatched).await?,
            elsewhere: gateway.count(Kind::Elsewhere).await?,
        });
        envoy = Some(gateway.version().await);
    }
    let module = machine::sizes(&settings::wasm())?;
    let text = format!("{}\n{}", goals::table(&counted, module), counts::table(&counted));
    Ok(Found { envoy, text })
}

/// An Envoy in valgrind.
pub(crate) struct Counting {
    setup: Setup,
    envoy: Envoy,
    dumps: tempfile::TempDir,
}

impl Counting {
    /// Starts one.
    pub(crate) async fn start(setup: Setup, pods: &[Ipv4Addr]) -> Result<Self> {
        let found = Command::new("valgrind").arg("--version").output();
        found.context("valgrind is not installed")?;
        let dumps = tempfile::tempdir()?;
        let file = dumps.path().join("dump");
        let file = format!("--callgrind-out-file={}", file.display());
        let callgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", &file];
        // Every line by itself, with no reference to an earlier one.
        let plain = ["--compress-strings=no", "--compress-pos=no"];
        let site = Site::fresh();
        let envoy = Envoy::builder().under(&[callgrind.as_slice(), &plain].concat());
        let envoy = envoy
            .start_on(site, setup.bootstrap(site, pods).with_context(|| setup.title())?)
            .await;
        let counting = Self { setup, envoy, dumps };
        counting.tell(&["instrumentation", "on"])?;
        Ok(counting)
    }

    /// Its version.
    pub(crate) async fn version(&self) -> String {
        self.envoy.version().await
    }

    /// The instructions of one request of this kind.
    pub(crate) async fn count(&self, kind: Kind) -> Result<Count> {
        let keeps = kind == Kind::Live && self.setup.variant.keeps_sessions();
        let user = User::start(self.envoy.address(), &kind.request(self.setup), keeps).await?;
        for _ in 0..WARM_UP {
            user.send().await?;
        }
        let mut counts = Vec::new();
        for _ in 0..TIMES {
            let before = self.envoy.stats().await;
            self.tell(&["zero"])?;
            for _ in 0..REQUESTS {
                user.send().await?;
            }
            self.tell(&["dump"])?;
            let after = self.envoy.stats().await;
            gateway::check(self.setup, kind, [&before, &after], REQUESTS)?;
            let dumped = self.dumped()?;
            counts.push(Count {
                all: dumped.all / REQUESTS,
                module: dumped.module / REQUESTS,
            });
        }
        counts.into_iter().min_by_key(|count| count.all).context("a count")
    }

    /// Gives callgrind an order, and waits until it is done.
    fn tell(&self, order: &[&str]) -> Result<()> {
        let mut vgdb = Command::new("vgdb");
        vgdb.arg(format!("--pid={}", self.envoy.pid())).args(order);
        let done = vgdb.output().context("vgdb")?;
        ensure!(done.status.success(), "vgdb: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }

    /// What the dump says that has been asked for. It is not kept. One without a number is written at the end.
    fn dumped(&self) -> Result<Count> {
        let files = fs::read_dir(self.dumps.path())?.filter_map(|entry| Some(entry.ok()?.path()));
        let mut numbered = files.filter(|file| file.extension().is_some());
        let file = numbered.next().context("valgrind has written no dump")?;
        let read = read(&file)?;
        fs::remove_file(&file)?;
        Ok(read)
    }
}

/// Adds up a dump. Each function is a line `ob=` with its file, a line `fn=`, and lines that begin with a number and have
/// the instructions second; those behind a line `calls=` belong to the function that was called.
fn read(dump: &Path) -> Result<Count> {
    let text = fs::read_to_string(dump)?;
    let mut count = Count::default();
    let (mut file, mut compiled, mut of_callee) = (String::new(), false, false);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("ob=") {
            name.clone_into(&mut file);
        } else if let Some(name) = line.strip_prefix("fn=") {
            compiled = file == UNKNOWN && address(name).is_some_and(|address| address > HIGHEST_OF_ENVOY);
        } else if line.starts_with("calls=") {
            of_callee = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit()) && !std::mem::take(&mut of_callee) {
            let instructions = line.split(' ').nth(1).context("a line without a count")?;
            let instructions: u64 = instructions.parse().with_context(|| line.to_owned())?;
            count.all += instructions;
            count.module += if compiled { instructions } else { 0 };
        }
    }
    Ok(count)
}

/// A function without a name is called by its address.
fn address(function: &str) -> Option<u64> {
    u64::from_str_radix(function.strip_prefix("0x")?, 16).ok()
}
