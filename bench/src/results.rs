//! All that was measured, as it is kept in a file.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{
    figures::{Measured, Series},
    functions::Function,
    gateway::Run,
    generator::Generated,
    instructions::Counted,
    machine::Machine,
    scale::Size,
    update::Updates,
    variant::Variant,
};

/// See the module.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) situations: Vec<Measured>,
    pub(crate) instructions: Vec<Counted>,
    pub(crate) functions: Vec<Function>,
    pub(crate) scale: Vec<Size>,
    pub(crate) updates: Option<Updates>,
    pub(crate) generator: Vec<Generated>,
    /// The size of the module, and its size after gzip, in bytes.
    pub(crate) module: (u64, u64),
}

impl Results {
    /// Reads what an earlier run has kept.
    pub(crate) fn read(file: &std::path::Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Puts a situation in the place of an earlier one.
    pub(crate) fn put(&mut self, measured: Measured) {
        match self.situations.iter_mut().find(|one| one.name == measured.name) {
            Some(earlier) => *earlier = measured,
            None => self.situations.push(measured),
        }
    }

    /// One situation.
    pub(crate) fn situation(&self, name: &str) -> Option<&Measured> {
        self.situations.iter().find(|one| one.name == name)
    }

    /// What was measured of one gateway in one situation.
    pub(crate) fn series(&self, situation: &str, label: &str) -> Option<&Series> {
        self.situation(situation)?.series.iter().find(|one| one.label == label)
    }

    /// The instructions of a gateway with one rule.
    pub(crate) fn counted(&self, variant: Variant) -> Option<&Counted> {
        let mut counted = self.instructions.iter();
        counted.find(|one| one.label == variant.title() && one.routes == 1)
    }

    /// The ratio of a figure of two gateways in one situation, round by round.
    pub(crate) fn ratio(&self, situation: &str, one: &str, other: &str, figure: fn(&Run) -> f64) -> Option<Vec<f64>> {
        self.paired(situation, one, other, figure, |one, other| one / other)
    }

    /// The processor time of two variants in one situation, compared round by round.
    pub(crate) fn cpu(
        &self,
        situation: &str,
        one: Variant,
        other: Variant,
        compare: fn(f64, f64) -> f64,
    ) -> Option<Vec<f64>> {
        self.paired(situation, one.title(), other.title(), |run| run.cpu, compare)
    }

    fn paired(
        &self,
        situation: &str,
        one: &str,
        other: &str,
        figure: fn(&Run) -> f64,
        compare: fn(f64, f64) -> f64,
    ) -> Option<Vec<f64>> {
        let (one, other) = (self.series(situation, one)?, self.series(situation, other)?);
        let pairs = one.runs.iter().zip(&other.runs);
        Some(pairs.map(|(one, other)| compare(figure(one), figure(other))).collect())
    }
}
