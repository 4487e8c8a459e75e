//! The machine and its processes: who runs on which processor, what a process has used, and what all of it is.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// The processors that this process may use: the first is for Envoy, the last for everything else.
pub(crate) struct Processors(Vec<usize>);

impl Processors {
    /// Those that this process was started with.
    pub(crate) fn found() -> Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let all = (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false));
        let found = Self(all.collect());
        ensure!(
            found.0.len() >= 2,
            "at least two processors are needed: one for Envoy, one for the load"
        );
        Ok(found)
    }

    /// Puts this thread, and whatever it starts from now on, where an Envoy with so many workers is to run.
    pub(crate) fn to_envoy(&self, workers: u32) -> Result<()> {
        let workers = usize::try_from(workers)?.min(self.0.len());
        run_on(self.0.get(..workers).unwrap_or_default())
    }

    /// Lets this thread, and whatever it starts from now on, run on all of them.
    pub(crate) fn to_all(&self) -> Result<()> {
        run_on(&self.0)
    }

    /// Puts this thread, and whatever it starts from now on, where the load and the upstream are to run.
    pub(crate) fn to_load(&self) -> Result<()> {
        run_on(self.0.last().map(std::slice::from_ref).unwrap_or_default())
    }
}

fn run_on(cpus: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set).context("choosing a processor")
}

/// How many processes wanted a processor: the mean of the last minute.
pub(crate) fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

/// On what a part was measured, as a sentence.
pub(crate) fn described(processors: &Processors, load: &str, envoy: Option<&str>) -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.unwrap_or_default().trim_start_matches([' ', '\t', ':']);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // What follows the version is the builder's own.
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    let count = processors.0.len();
    let envoy = envoy.map_or_else(String::new, |version| format!(", Envoy {version}"));
    format!(
        "Measured on {model} with {count} processors, Linux {kernel}{envoy}. Load of the machine before the start (processes that \
         wanted a processor, mean of a minute): {load}."
    )
}

/// How large a file is, and how large after `gzip -9`, in bytes.
pub(crate) fn sizes(file: &Path) -> Result<(u64, u64)> {
    let packed = Command::new("gzip").args(["-9", "--stdout"]).arg(file).output();
    let packed = packed.context("gzip")?;
    ensure!(packed.status.success(), "gzip: {}", packed.status);
    Ok((fs::metadata(file)?.len(), u64::try_from(packed.stdout.len())?))
}
