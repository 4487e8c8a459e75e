//! What Linux tells about processes under `/proc`.

use std::{fs, path::PathBuf, process::Command, time::Duration};

/// The process whose name begins with one of these among a process, its children and theirs.
pub(crate) fn find(names: &[&str], root: u32) -> Option<u32> {
    let command = fs::read_to_string(format!("/proc/{root}/comm")).ok()?;
    if names.iter().any(|name| command.starts_with(name)) {
        return Some(root);
    }
    let children = fs::read_to_string(format!("/proc/{root}/task/{root}/children")).ok()?;
    let mut children = children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
    children.find_map(|child| find(names, child))
}

/// The memory that a process holds at the moment (resident set size), in bytes.
pub(crate) fn resident(pid: u32) -> u64 {
    memory(pid, "VmRSS:")
}

/// The same without the pages of files, such as its program, which all processes of that program share.
pub(crate) fn private(pid: u32) -> u64 {
    memory(pid, "RssAnon:")
}

fn memory(pid: u32, kind: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix(kind));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.expect("a number of kB") * 1024
}

/// Ends a process at once (SIGKILL).
pub(crate) fn kill(pid: u32) {
    let status = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "cannot kill {pid}");
}

/// The processor time that the threads of a process with names that begin so have taken.
pub(crate) fn time_of_threads(pid: u32, name: &str) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a running process");
    let time_of = |task: PathBuf| {
        let comm = fs::read_to_string(task.join("comm")).ok()?;
        // Time on a processor in nanoseconds, time in the queue, slices.
        let times = fs::read_to_string(task.join("schedstat")).ok()?;
        let on_processor = times.split_ascii_whitespace().next()?.parse().ok()?;
        comm.starts_with(name).then(|| Duration::from_nanos(on_processor))
    };
    tasks.filter_map(|task| time_of(task.ok()?.path())).sum()
}
