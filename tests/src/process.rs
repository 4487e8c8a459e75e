//! What Linux tells about processes under `/proc`.

use std::{fs, process::Command};

/// The process of this name among a process, its children and theirs.
pub(crate) fn find(name: &str, root: u32) -> Option<u32> {
    let command = fs::read_to_string(format!("/proc/{root}/comm")).ok()?;
    if command.trim_end() == name {
        return Some(root);
    }
    let children = fs::read_to_string(format!("/proc/{root}/task/{root}/children")).ok()?;
    let mut children = children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
    children.find_map(|child| find(name, child))
}

/// The memory that a process holds at the moment (resident set size), in bytes.
pub(crate) fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.expect("a number of kB") * 1024
}

/// Ends a process at once (SIGKILL).
pub(crate) fn kill(pid: u32) {
    let status = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "cannot kill {pid}");
}
