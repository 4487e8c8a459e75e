//! Envoy's counters and gauges.

use std::collections::BTreeMap;

/// One reading of all counters and gauges, by name.
#[derive(Clone, Debug, Default)]
pub struct Stats(BTreeMap<String, u64>);

impl Stats {
    /// Reads the text form of `/stats`: `name: value` lines. Histograms and texts are left out.
    pub(crate) fn parse(text: &str) -> Self {
        let numbers = text.lines().filter_map(|line| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self(numbers.collect())
    }

    /// The value under a full name; 0 when Envoy has not made that number yet.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// A number of the filter, such as `mooring_session_new_total`.
    pub fn mooring(&self, name: &str) -> u64 {
        self.get(&format!("wasmcustom.{name}"))
    }

    /// The sum of the numbers whose name starts so.
    pub fn sum(&self, prefix: &str) -> u64 {
        self.starting_with(prefix).map(|(_, value)| value).sum()
    }

    /// The numbers whose name starts so.
    pub fn starting_with(&self, prefix: &str) -> impl Iterator<Item = (&str, u64)> {
        let from = self.0.range(prefix.to_owned()..);
        let mine = from.take_while(move |(name, _)| name.starts_with(prefix));
        mine.map(|(name, value)| (name.as_str(), *value))
    }

    /// What the filter counted that is not 0, for a message.
    pub fn of_mooring(&self) -> BTreeMap<&str, u64> {
        self.starting_with("wasmcustom.")
            .filter(|(_, value)| *value > 0)
            .collect()
    }
}
