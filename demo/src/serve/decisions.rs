//! What the gateway decided about each request, from Envoy's access log.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use mooring_tests::Bootstrap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::visitor::{CROWD, WHO};

/// Envoy writes its access log this often, in milliseconds. By default it waits ten seconds.
pub const FLUSH: &str = "100";
/// The log is emptied when it has this many bytes.
const LIMIT: u64 = 1 << 20;
/// So much of it is read at a time.
const CHUNK: u64 = 1 << 16;

/// A line of the access log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The number of the line.
    #[serde(default)]
    pub number: u64,
    /// When the request came, in seconds since the Unix epoch.
    pub at: Option<String>,
    /// Who sent the request.
    pub who: Option<String>,
    /// The decision of the module: `rule=…;reason=…;backend=…;session=…;age=…`.
    pub decision: Option<String>,
    /// The address of the pod; after the log was read, its name.
    pub host: Option<String>,
    /// The status code.
    pub status: Option<u16>,
}

impl Line {
    /// Whether it is about one of the crowd.
    pub fn is_of_crowd(&self) -> bool {
        self.who.as_deref() == Some(CROWD)
    }
}

/// The access log.
pub struct Log {
    directory: TempDir,
    /// The position up to which the log was read.
    position: u64,
    lines: u64,
    /// A line whose end is not written yet.
    rest: Vec<u8>,
}

impl Log {
    /// An empty log. The file comes when Envoy starts.
    pub fn new() -> Self {
        Self {
            directory: TempDir::with_prefix("mooring-log-").expect("a temporary directory"),
            position: 0,
            lines: 0,
            rest: Vec::new(),
        }
    }

    /// What lets Envoy write this log.
    pub fn edit(&self) -> impl Fn(&mut Bootstrap) + Send + Sync + use<> {
        let path = self.directory.path().join("access.log");
        move |bootstrap| log_to(bootstrap, &path)
    }

    /// The lines since the last time.
    pub fn read(&mut self) -> Vec<Line> {
        let path = self.directory.path().join("access.log");
        let Ok(mut file) = File::options().read(true).write(true).open(path) else {
            return Vec::new();
        };
        let _position = file.seek(SeekFrom::Start(self.position));
        let mut text = std::mem::take(&mut self.rest);
        let read = file.by_ref().take(CHUNK).read_to_end(&mut text).unwrap_or(0);
        self.position = self.position.saturating_add(u64::try_from(read).unwrap_or(0));
        let all_is_read = file.metadata().is_ok_and(|file| file.len() == self.position);
        // Envoy appends, so it goes on at the start. At worst, a line that it writes just now is lost.
        if self.position > LIMIT && all_is_read && file.set_len(0).is_ok() {
            self.position = 0;
        }
        let complete = text.iter().rposition(|byte| *byte == b'\n');
        self.rest = text.split_off(complete.map_or(0, |end| end.saturating_add(1)));
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let lines = lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok());
        lines.map(|line| self.number(line)).collect()
    }

    fn number(&mut self, line: Line) -> Line {
        self.lines = self.lines.saturating_add(1);
        Line {
            number: self.lines,
            ..line
        }
    }
}

/// Lets every listener write this access log, instead of the one on standard output that `--access-log` adds.
fn log_to(bootstrap: &mut Bootstrap, path: &Path) {
    let log = json!([{
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
            "log_format": {"json_format": {
                "at": "%START_TIME(%s.%3f)%",
                "who": format!("%REQ({WHO})%"),
                "decision": "%FILTER_STATE(wasm.mooring:PLAIN)%",
                "host": "%UPSTREAM_HOST%",
                "status": "%RESPONSE_CODE%",
            }},
        },
    }]);
    let listeners = bootstrap.json_mut().pointer_mut("/static_resources/listeners");
    for listener in listeners.and_then(Value::as_array_mut).into_iter().flatten() {
        let manager = listener.pointer_mut("/filter_chains/0/filters/0/typed_config");
        if let Some(manager) = manager.and_then(Value::as_object_mut) {
            manager.insert("access_log".to_owned(), log.clone());
        }
    }
}
