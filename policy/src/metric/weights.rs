//! The gauges of weights that a VM has set.

use super::numbers::Numbers;

/// The gauges of each plugin of a VM. Envoy keeps a gauge and its value when a configuration no longer has the backend, so the
/// gauge must be set to 0 then.
#[derive(Debug, Default)]
pub struct WeightGauges {
    by_plugin: Vec<(String, Numbers)>,
}

impl WeightGauges {
    /// Replaces the weights of a plugin, and returns the gauges to set: the new weights, and the weights that are gone. A weight
    /// is not gone if another plugin of the VM has it: on a waypoint, each Service has a plugin, and a rule can be for several
    /// Services.
    pub fn replace(&mut self, plugin: &str, weights: Numbers) -> Numbers {
        let mut gauges = weights.clone();
        let Some((_, current)) = self.by_plugin.iter_mut().find(|(other, _)| other == plugin) else {
            self.by_plugin.push((plugin.to_owned(), weights));
            return gauges;
        };
        let earlier = std::mem::replace(current, weights);
        for (name, _) in earlier {
            if gauges.get(&name).is_none() {
                let elsewhere = self.by_plugin.iter().find_map(|(_, weights)| weights.get(&name));
                gauges.set(name, elsewhere.unwrap_or(0));
            }
        }
        gauges
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    fn weights(weights: &[(&str, u32)]) -> Numbers {
        let mut numbers = Numbers::default();
        for (name, weight) in weights {
            numbers.set((*name).to_owned(), *weight);
        }
        numbers
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_backend_that_left_has_weight_0_once() {
        let mut gauges = WeightGauges::default();
        let both = weights(&[("v1", 90), ("v2", 10)]);
        assert_eq!(gauges.replace("shop", both.clone()), both);
        let left = gauges.replace("shop", weights(&[("v1", 100)]));
        assert_eq!(left, weights(&[("v1", 100), ("v2", 0)]));
        assert_eq!(gauges.replace("shop", weights(&[])), weights(&[("v1", 0)]));
        assert_eq!(gauges.replace("shop", weights(&[])), weights(&[]));
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_backend_that_another_plugin_has_keeps_its_weight() {
        let mut gauges = WeightGauges::default();
        gauges.replace("shop", weights(&[("v1", 90), ("v2", 10)]));
        gauges.replace("cart", weights(&[("v1", 80), ("v3", 1)]));
        let left = gauges.replace("shop", weights(&[]));
        assert_eq!(left, weights(&[("v1", 80), ("v2", 0)]));
    }
}
