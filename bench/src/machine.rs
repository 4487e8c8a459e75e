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
        pin(self.0.get(..workers).unwrap_or_default())
    }

    /// Lets this thread, and whatever it starts from now on, run on all of them.
    pub(crate) fn to_all(&self) -> Result<()> {
        pin(&self.0)
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
