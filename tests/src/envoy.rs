//! A stock Envoy as a child process.

use std::{
    fs::File as LogFile,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    bootstrap::{Bootstrap, File, Resources},
    browser::Browser,
    client::Client,
    keys,
    manifests::{Manifests, Site},
    process, scratch, settings,
    stats::Stats,
    wait,
};

/// How much of a log is shown when a test fails.
const TAIL_LINES: usize = 60;
/// Runs a command until it ends or until its own standard input does; then it sends SIGTERM. So no Envoy outlives its
/// test, not even one whose process was killed.
pub(crate) const WATCHDOG: &str = r#"
exec 3<&0
"$@" 3<&- </dev/null &
envoy=$!
{ cat <&3 >/dev/null; kill -TERM $envoy; } 2>/dev/null &
watcher=$!
wait $envoy
status=$?
kill $watcher 2>/dev/null
exit $status
"#;

/// A running Envoy. It is stopped when dropped; when the test has failed, the end of its log is printed then.
pub struct Envoy {
    site: Site,
    options: Builder,
    directory: TempDir,
    resources: Option<Resources>,
    child: Option<Child>,
    traps_expected: bool,
}

/// What became of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// Envoy works with it.
    Taken,
    /// Envoy refused it and keeps what it had.
    Rejected,
}

/// How an Envoy is started.
pub struct Builder {
    keys: Option<String>,
    concurrency: u32,
    dynamic: bool,
    runner: Vec<String>,
    log: Vec<String>,
    edits: Vec<Edit>,
}

type Edit = Box<dyn Fn(&mut Bootstrap) + Send + Sync>;

impl Builder {
    /// With this `MOORING_KEYS`. Without a word there is one good key.
    pub fn keys(mut self, keys: &str) -> Self {
        self.keys = Some(keys.to_owned());
        self
    }

    /// Without `MOORING_KEYS`.
    pub fn no_keys(mut self) -> Self {
        self.keys = None;
        self
    }

    /// With this number of workers instead of one.
    pub fn concurrency(mut self, workers: u32) -> Self {
        self.concurrency = workers;
        self
    }

    /// With listeners, clusters and endpoints in files that Envoy watches, so that [`Envoy::apply`] can change them.
    pub fn dynamic(mut self) -> Self {
        self.dynamic = true;
        self
    }

    /// Run by another program, such as valgrind, whose command line this begins.
    pub fn under(mut self, runner: &[&str]) -> Self {
        self.runner = words(runner);
        self
    }

    /// With these flags for its log, instead of those of the harness.
    pub fn log(mut self, flags: &[&str]) -> Self {
        self.log = words(flags);
        self
    }

    /// With a change to what was generated, made each time something is generated.
    pub fn edit(mut self, edit: impl Fn(&mut Bootstrap) + Send + Sync + 'static) -> Self {
        self.edits.push(Box::new(edit));
        self
    }

    /// Starts it on what `mooring generate` makes of the manifests, and waits until it serves.
    pub async fn start(self, manifests: &Manifests) -> Envoy {
        let site = Site::fresh();
        let bootstrap = manifests.generate(site).bootstrap();
        self.start_on(site, bootstrap).await
    }

    /// Starts it on what `mooring generate` makes of the manifests, and waits until it has given up: its log. One that
    /// serves is a failure.
    pub async fn fails_to_start(self, manifests: &Manifests) -> String {
        let site = Site::fresh();
        let mut envoy = self.prepare(site, manifests.generate(site).bootstrap());
        envoy.spawn();
        wait::until("Envoy ends at its start", || {
            let ended = envoy.child.as_mut().and_then(exited);
            async move { ended }
        })
        .await;
        envoy.child = None;
        envoy.log()
    }

    /// Starts it on any configuration, which listens where `site` says, and waits until it serves.
    pub async fn start_on(self, site: Site, bootstrap: Bootstrap) -> Envoy {
        let mut envoy = self.prepare(site, bootstrap);
        envoy.launch().await;
        envoy
    }

    fn prepare(self, site: Site, mut bootstrap: Bootstrap) -> Envoy {
        let directory = scratch::directory("envoy");
        self.edits.iter().for_each(|edit| edit(&mut bootstrap));
        let resources = self.dynamic.then(|| {
            let (shell, resources) = bootstrap.clone().split(directory.path());
            bootstrap = shell;
            resources.write(directory.path());
            resources
        });
        scratch::replace(&config_path(directory.path()), &bootstrap.json().to_string());
        Envoy {
            site,
            options: self,
            directory,
            resources,
            child: None,
            traps_expected: false,
        }
    }
}

impl Envoy {
    /// How to start one.
    pub fn builder() -> Builder {
        Builder {
            keys: Some(keys::key(1)),
            concurrency: 1,
            dynamic: false,
            runner: Vec::new(),
            // The main component lists all extensions at its start.
            log: words(&["--log-level", "info", "--component-log-level", "main:warning"]),
            edits: Vec::new(),
        }
    }

    /// Starts one on what `mooring generate` makes of the manifests, without any frills.
    pub async fn serve(manifests: &Manifests) -> Self {
        Self::builder().start(manifests).await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.site.listen
    }

    /// Where it listens for another port of the Gateway than 80.
    pub fn address_of(&self, port: u16) -> SocketAddr {
        self.site.port(port)
    }

    /// Where its admin interface is.
    pub fn admin(&self) -> SocketAddr {
        self.site.admin
    }

    /// A new client, over HTTP/1.1.
    pub fn client(&self) -> Client {
        Client::http1(self.address())
    }

    /// A new client, over HTTP/2.
    pub fn client_http2(&self) -> Client {
        Client::http2(self.address())
    }

    /// A new visitor who keeps cookies as a browser does.
    pub fn browser(&self) -> Browser {
        Browser::new(self.client())
    }

    /// Its counters and gauges now.
    pub async fn stats(&self) -> Stats {
        Stats::parse(&self.ask("/stats").await)
    }

    /// What the admin interface says, such as `/config_dump`. It may say nothing while the main thread is busy.
    pub async fn ask(&self, target: &str) -> String {
        let reply = wait::until(&format!("the admin interface answers {target}"), || async {
            Client::http1(self.admin()).request(target).attempt().await.ok()
        })
        .await;
        String::from_utf8_lossy(reply.ok().body()).into_owned()
    }

    /// Its version, such as `1.40.0`.
    pub async fn version(&self) -> String {
        let info = self.ask("/server_info").await;
        // `"version": "<commit>/1.40.0/Clean/RELEASE/BoringSSL"`
        info.split('/').nth(1).unwrap_or("of an unknown version").to_owned()
    }

    /// Generates from the manifests again and gives the running Envoy what changed; waits until it works with it or has
    /// refused it.
    pub async fn apply(&mut self, manifests: &Manifests) -> Update {
        self.apply_bootstrap(self.generate(manifests)).await
    }

    /// What `mooring generate` makes of the manifests for this Envoy, with the edits that it was started with.
    pub fn generate(&self, manifests: &Manifests) -> Bootstrap {
        let mut bootstrap = manifests.generate(self.site).bootstrap();
        self.options.edits.iter().for_each(|edit| edit(&mut bootstrap));
        bootstrap
    }

    /// Gives the running Envoy what differs in this configuration.
    pub async fn apply_bootstrap(&mut self, bootstrap: Bootstrap) -> Update {
        let (_, next) = bootstrap.split(self.directory.path());
        let now = self.resources.as_ref().expect("only a `dynamic` Envoy takes updates");
        let changed = next.changed_from(now);
        let mut outcome = Update::Taken;
        for (file, existed) in changed {
            let before = self.stats().await;
            next.write_one(&file, self.directory.path());
            // A file that is new is read when the cluster that wants it comes.
            if existed && self.update_of(&file, &before).await == Update::Rejected {
                outcome = Update::Rejected;
            } else if let Some(resources) = &mut self.resources {
                resources.take_over(&file, &next);
            }
        }
        self.settled().await;
        outcome
    }

    /// Stops it as an orchestrator does, by SIGTERM, and starts it again on the configuration it worked with.
    pub async fn restart(&mut self) {
        self.stop().await;
        if let Some(resources) = &self.resources {
            // An update that was refused is still in the file.
            resources.write(self.directory.path());
        }
        self.launch().await;
    }

    /// The same, with another `MOORING_KEYS`.
    pub async fn restart_with_keys(&mut self, keys: &str) {
        self.options.keys = Some(keys.to_owned());
        self.restart().await;
    }

    /// Ends it at once, as a machine that loses its power does. [`Envoy::restart`] starts it again.
    pub async fn kill(&mut self) {
        process::kill(self.pid());
        let mut child = self.child.take().expect("a running Envoy");
        wait::until("Envoy is dead", || {
            let ended = exited(&mut child);
            async move { ended }
        })
        .await;
    }

    /// Stops it by SIGTERM and waits for its end.
    pub async fn stop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        terminate(&mut child);
        let deadline = Instant::now() + wait::PATIENCE;
        while exited(&mut child).is_none() {
            if Instant::now() > deadline {
                let _killed = child.kill().and_then(|()| child.wait());
                panic!("Envoy did not end on SIGTERM within {:?}", wait::PATIENCE);
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The id of its process, or of the callgrind that runs it.
    pub fn pid(&self) -> u32 {
        let watchdog = self.child.as_ref().expect("a running Envoy").id();
        process::find(&["envoy", "callgrind"], watchdog).expect("Envoy is a child of its watchdog")
    }

    /// The processor time that its workers have taken.
    pub fn time_of_workers(&self) -> Duration {
        process::time_of_threads(self.pid(), "wrk:")
    }

    /// The processor time that all its threads have taken.
    pub fn cpu_time(&self) -> Duration {
        process::time_of_threads(self.pid(), "")
    }

    /// The memory that it holds at the moment, in bytes.
    pub fn resident(&self) -> u64 {
        process::resident(self.pid())
    }

    /// The same without the pages of files, such as its program.
    pub fn private(&self) -> u64 {
        process::private(self.pid())
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(log_path(self.directory.path())).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Says that this test makes the module trap on purpose. Otherwise a trap in the log is a failure.
    pub fn expect_traps(&mut self) {
        self.traps_expected = true;
    }

    async fn launch(&mut self) {
        self.spawn();
        self.ready().await;
    }

    fn spawn(&mut self) {
        let directory = self.directory.path();
        let log = LogFile::options()
            .create(true)
            .append(true)
            .open(log_path(directory))
            .expect("a log file");
        let envoy = settings::envoy_command();
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", WATCHDOG, "sh"])
            .args(&self.options.runner)
            .arg(envoy.get_program())
            .args(envoy.get_args())
            .arg("-c")
            .arg(config_path(directory))
            .args(["--concurrency", &self.options.concurrency.to_string()])
            // No shared memory, so nothing to clash over with another Envoy and nothing left behind.
            .arg("--disable-hot-restart")
            // A listener that was replaced is gone after a second, and no connection stays on it.
            .args(["--drain-time-s", "1", "--drain-strategy", "immediate"])
            .args(&self.options.log)
            .env_remove("MOORING_KEYS")
            .envs(self.options.keys.as_ref().map(|keys| ("MOORING_KEYS", keys)))
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log);
        self.child = Some(command.spawn().expect("Envoy starts"));
    }

    async fn ready(&mut self) {
        // Valgrind makes a start ten times as long.
        let patience = wait::PATIENCE * if self.options.runner.is_empty() { 1 } else { 10 };
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.as_mut().and_then(exited) {
                panic!("Envoy ended at its start: {status}");
            }
            if self.says_live().await {
                return;
            }
            assert!(Instant::now() < deadline, "Envoy was not ready within {patience:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn says_live(&self) -> bool {
        if tokio::net::TcpStream::connect(self.admin()).await.is_err() {
            return false;
        }
        let ready = Client::http1(self.admin());
        let request = ready.request("/ready");
        // While it compiles the module it may accept a connection and say nothing.
        let reply = timeout(Duration::from_secs(2), request.attempt()).await;
        reply.is_ok_and(|reply| reply.is_ok_and(|reply| reply.status() == 200))
    }

    async fn update_of(&self, file: &File, before: &Stats) -> Update {
        let prefix = file.stats_prefix();
        let taken = format!("{prefix}.update_success");
        let refused = [format!("{prefix}.update_rejected"), format!("{prefix}.update_failure")];
        wait::until(&format!("{prefix} takes or refuses an update"), || async {
            let now = self.stats().await;
            if refused.iter().any(|name| now.get(name) > before.get(name)) {
                return Some(Update::Rejected);
            }
            (now.get(&taken) > before.get(&taken)).then_some(Update::Taken)
        })
        .await
    }

    /// Waits until new resources are warm and old ones gone, so that no request meets an old configuration.
    async fn settled(&self) {
        wait::until("Envoy settles after an update", || async {
            let now = self.stats().await;
            [
                "cluster_manager.warming_clusters",
                "listener_manager.total_listeners_warming",
                "listener_manager.total_listeners_draining",
                "listener_manager.total_filter_chains_draining",
            ]
            .iter()
            .all(|gauge| now.get(gauge) == 0)
            .then_some(())
        })
        .await;
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            terminate(&mut child);
            let given_up = Duration::from_secs(5);
            if !waited(&mut child, given_up) {
                let _killed = child.kill().and_then(|()| child.wait());
            }
        }
        let log = self.log();
        if std::thread::panicking() && !log.is_empty() {
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
            eprintln!("--- the end of Envoy's log\n{}\n---", tail.join("\n"));
        } else if !self.traps_expected {
            let trap = log
                .lines()
                .find(|line| line.contains("panicked at") || line.contains("Uncaught RuntimeError"));
            if let Some(line) = trap {
                panic!("the module trapped: {line}");
            }
        }
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn config_path(directory: &Path) -> PathBuf {
    directory.join("bootstrap.json")
}

fn log_path(directory: &Path) -> PathBuf {
    directory.join("envoy.log")
}

/// Lets the watchdog send SIGTERM.
fn terminate(child: &mut Child) {
    drop(child.stdin.take());
}

fn exited(child: &mut Child) -> Option<ExitStatus> {
    child.try_wait().expect("a child process can be asked")
}

/// Waits without a runtime, for `drop`.
fn waited(child: &mut Child, at_most: Duration) -> bool {
    let step = Duration::from_millis(5);
    let mut left = at_most;
    while exited(child).is_none() {
        if left.is_zero() {
            return false;
        }
        std::thread::sleep(step);
        left = left.saturating_sub(step);
    }
    true
}
