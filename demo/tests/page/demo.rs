//! The demo as a child process.

use std::{net::TcpStream, process::ExitStatus, time::Duration};

use mooring_tests::wait;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// A running demo. It is stopped when dropped.
pub struct Demo {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    output: Vec<String>,
    /// Such as `127.0.0.1:8080`.
    pub address: String,
}

impl Demo {
    /// Starts it on any free port.
    pub async fn start() -> Self {
        Self::start_with(&["--port", "0"]).await
    }

    /// Starts it with these arguments, and waits until it serves.
    pub async fn start_with(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mooring-demo"))
            .arg("--serve")
            .args(arguments)
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut demo = Self {
            child,
            lines,
            output: Vec::new(),
            address: String::new(),
        };
        demo.reads_until("Ctrl-C").await;
        demo.address = demo.address_after("The page:");
        demo
    }

    /// Everything it has printed up to now.
    pub fn output(&self) -> String {
        self.output.join("\n")
    }

    /// The address that it prints after a word.
    pub fn address_after(&self, word: &str) -> String {
        let line = self.output.iter().find(|line| line.contains(word)).unwrap();
        let (_, rest) = line.split_once("http://").unwrap();
        rest.trim_end_matches('/').to_owned()
    }

    /// Sends it this signal, such as `-INT`, and waits for its end.
    pub async fn stop(&mut self, signal: &str) -> ExitStatus {
        let id = self.child.id().unwrap().to_string();
        let killed = Command::new("kill").args([signal, &id]).status().await.unwrap();
        assert!(killed.success());
        tokio::time::timeout(wait::PATIENCE, self.child.wait())
            .await
            .expect("the demo ends")
            .unwrap()
    }

    async fn reads_until(&mut self, word: &str) {
        let reads = async {
            while !self.output.last().is_some_and(|line| line.contains(word)) {
                let line = self.lines.next_line().await.unwrap();
                self.output.push(line.expect("the demo serves"));
            }
        };
        tokio::time::timeout(wait::PATIENCE, reads)
            .await
            .expect("the demo starts");
    }
}

impl Drop for Demo {
    /// Lets it stop Envoy and remove its files, also after a failure.
    fn drop(&mut self) {
        let Some(id) = self.child.id() else { return };
        let _sent = std::process::Command::new("kill").arg(id.to_string()).status();
        for _ in 0..500 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Whether something listens at this address.
pub fn listens(address: &str) -> bool {
    TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(1)).is_ok()
}
