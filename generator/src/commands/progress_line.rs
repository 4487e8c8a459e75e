//! A line on the terminal while a cluster is slow to answer.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::cluster::Progress;

/// How long nothing is shown: most clusters answer sooner.
const DELAY: Duration = Duration::from_secs(1);

/// How often the line changes.
const INTERVAL: Duration = Duration::from_millis(250);

/// Removes the line of the cursor.
const CLEAR: &str = "\r\u{1b}[K";

/// The line. Dropping it removes it from the terminal.
pub struct ProgressLine {
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

impl ProgressLine {
    /// Shows the progress after a while, if the standard error is a terminal that can remove a line.
    pub fn start(progress: &Arc<Progress>, quiet: bool) -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if quiet || is_dumb || !io::stderr().is_terminal() {
            return Self { thread: None };
        }
        let (stop, stopped) = mpsc::channel();
        let progress = Arc::clone(progress);
        let show = move || {
            let mut wait = DELAY;
            let mut shown = false;
            // It ends when the sender is dropped.
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                let (kind, objects) = progress.now();
                let mut stderr = io::stderr().lock();
                let _ = write!(stderr, "{CLEAR}reading the cluster: {kind}, {objects} objects");
                let _ = stderr.flush();
                (wait, shown) = (INTERVAL, true);
            }
            if shown {
                let mut stderr = io::stderr().lock();
                let _ = write!(stderr, "{CLEAR}");
                let _ = stderr.flush();
            }
        };
        let thread = thread::Builder::new().spawn(show).ok();
        Self {
            thread: thread.map(|thread| (stop, thread)),
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}
