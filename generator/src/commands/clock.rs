//! The clock. Only commands have one: the library gets the time as an argument.

use std::time::SystemTime;

use anyhow::Context as _;

/// The seconds since the Unix epoch.
pub fn now() -> anyhow::Result<u64> {
    #[expect(clippy::disallowed_methods, reason = "the library gets the time from here")]
    let now = SystemTime::now();
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    Ok(since.context("the clock shows a time before 1970")?.as_secs())
}
