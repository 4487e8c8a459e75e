//! A Prometheus as a child process: it scrapes Envoys every second and evaluates alerting rules.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use serde::{Deserialize, de::DeserializeOwned};
use tempfile::TempDir;

use crate::{address, client::Client, envoy::WATCHDOG, scratch, settings, wait};

/// A running Prometheus. It is stopped when dropped.
pub struct Prometheus {
    address: SocketAddr,
    child: Child,
    directory: TempDir,
}

/// An alert that is pending or firing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Alert {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// `pending` or `firing`.
    pub state: String,
}

/// An element of the answer to a query.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Sample {
    /// Its labels.
    #[serde(rename = "metric")]
    pub labels: BTreeMap<String, String>,
}

impl Prometheus {
    /// Starts it with these alerting rules for the admin interfaces of Envoys, and waits until it is ready.
    pub async fn start(rules: &str, targets: &[SocketAddr]) -> Self {
        let directory = scratch::directory("prometheus");
        let address = SocketAddr::from((address::fresh(), 9090));
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).expect("a writable temporary directory");
        };
        let mut config = "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\nrule_files: \
                          [rules.yml]\nscrape_configs:\n- job_name: envoy\n  metrics_path: \
                          /stats/prometheus\n  static_configs:\n  - targets:\n"
            .to_owned();
        for target in targets {
            // Writing to a string cannot fail.
            let _ = writeln!(config, "    - {target}");
        }
        write("prometheus.yml", &config);
        write("rules.yml", rules);
        let log = std::fs::File::create(directory.path().join("log")).expect("a log file");
        let child = Command::new("/bin/sh")
            .args(["-c", WATCHDOG, "sh"])
            .arg(settings::prometheus())
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address={address}"))
            .current_dir(directory.path())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("Prometheus starts");
        let prometheus = Self {
            address,
            child,
            directory,
        };
        let client = Client::http1(address);
        wait::until("Prometheus is ready", || async {
            let reply = client.request("/-/ready").attempt().await.ok()?;
            (reply.status() == 200).then_some(())
        })
        .await;
        prometheus
    }

    /// The answer to a query, in no particular order.
    pub async fn query(&self, query: &str) -> Vec<Sample> {
        let mut target = "/api/v1/query?query=".to_owned();
        for byte in query.bytes() {
            let _ = write!(target, "%{byte:02X}");
        }
        let Vector { result } = self.ask(&target).await;
        result
    }

    /// All alerts that are pending or firing.
    pub async fn alerts(&self) -> Vec<Alert> {
        let Alerts { alerts } = self.ask("/api/v1/alerts").await;
        alerts
    }

    async fn ask<T: DeserializeOwned>(&self, target: &str) -> T {
        let reply = Client::http1(self.address).request(target).send().await;
        let answer = serde_json::from_slice::<Answer<T>>(reply.body());
        answer
            .unwrap_or_else(|error| panic!("{target}: {error}: {reply:?}"))
            .data
    }
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Vector {
    result: Vec<Sample>,
}

#[derive(Deserialize)]
struct Alerts {
    alerts: Vec<Alert>,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            eprintln!("--- the log of Prometheus\n{log}\n---");
        }
        // The watchdog then sends SIGTERM.
        drop(self.child.stdin.take());
        let _ended = self.child.wait();
    }
}
