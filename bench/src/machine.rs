//! The machine and its processes: who runs on which processor, what a process has used, and what all of it is.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

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
        pin(self.0.get(..workers).unwrap_or_default())
    }

    /// Puts this thread, and whatever it starts from now on, where the load and the upstream are to run.
    pub(crate) fn to_load(&self) -> Result<()> {
        pin(self.0.last().map(std::slice::from_ref).unwrap_or_default())
    }
}

fn pin(cpus: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set).context("choosing a processor")
}

/// A process that is not a child of this one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process(u32);

impl Process {
    /// The process whose name begins so and that was started with this argument.
    pub(crate) fn find(name: &str, argument: &str) -> Result<Self> {
        for entry in fs::read_dir("/proc")? {
            let path = entry?.path();
            let pid = path.file_name().and_then(|name| name.to_str()?.parse().ok());
            if let Some(pid) = pid
                && is_called(&path, name)
                && has_argument(&path, argument)
            {
                return Ok(Self(pid));
            }
        }
        anyhow::bail!("no process {name} with the argument {argument}")
    }

    /// Its id.
    pub(crate) fn id(self) -> u32 {
        self.0
    }

    /// The processor time that all its threads have used, in nanoseconds.
    pub(crate) fn cpu_nanoseconds(self) -> Result<u64> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.0))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let used: u64 = text.split_whitespace().next().context("schedstat")?.parse()?;
            sum += used;
        }
        Ok(sum)
    }

    /// Its resident memory, in bytes.
    pub(crate) fn resident_bytes(self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes: u64 = line
            .and_then(|line| line.split_whitespace().next())
            .context("VmRSS")?
            .parse()?;
        Ok(kilobytes * 1024)
    }
}

fn is_called(process: &Path, name: &str) -> bool {
    fs::read_to_string(process.join("comm")).is_ok_and(|comm| comm.starts_with(name))
}

fn has_argument(process: &Path, argument: &str) -> bool {
    let line = fs::read(process.join("cmdline")).unwrap_or_default();
    line.split(|&byte| byte == 0).any(|one| one == argument.as_bytes())
}

/// What a figure was measured on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) kernel: String,
    /// As an Envoy says of itself.
    pub(crate) envoy: String,
    /// How many processes wanted a processor before the start: the mean of a minute.
    pub(crate) load: f64,
}

impl Machine {
    /// This one.
    pub(crate) fn this(processors: &Processors) -> Self {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name"));
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        // What follows the version is the builder's own.
        let release = release.trim().split('-').next().unwrap_or_default();
        Self {
            processor: model
                .unwrap_or_default()
                .trim_start_matches([' ', '\t', ':'])
                .to_owned(),
            processors: processors.0.len(),
            kernel: format!("Linux {release}"),
            envoy: String::new(),
            load: load
                .split(' ')
                .next()
                .and_then(|load| load.parse().ok())
                .unwrap_or(f64::NAN),
        }
    }
}

/// How large a file is, and how large after `gzip -9`, in bytes.
pub(crate) fn sizes(file: &Path) -> Result<(u64, u64)> {
    let packed = Command::new("gzip").args(["-9", "--stdout"]).arg(file).output();
    let packed = packed.context("gzip")?;
    ensure!(packed.status.success(), "gzip: {}", packed.status);
    Ok((fs::metadata(file)?.len(), u64::try_from(packed.stdout.len())?))
}
