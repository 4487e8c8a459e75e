//! Numbers by the name of a metric.

/// Numbers by the name of a metric, sorted by name. (A `BTreeMap` would make the module 18 KB larger.)
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers(Vec<(String, u32)>);

impl Numbers {
    /// The number of a metric.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u32> {
        let position = self.position(name).ok()?;
        self.0.get(position).map(|(_, number)| *number)
    }

    /// Sets the number of a metric.
    pub fn set(&mut self, name: String, number: u32) {
        match self.position(&name) {
            Ok(position) => {
                if let Some((_, earlier)) = self.0.get_mut(position) {
                    *earlier = number;
                }
            }
            Err(position) => self.0.insert(position, (name, number)),
        }
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| other.as_str().cmp(name))
    }
}

impl IntoIterator for Numbers {
    type Item = (String, u32);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    #[test]
    #[wasm_bindgen_test]
    fn the_last_number_of_a_name_counts() {
        let mut numbers = Numbers::default();
        for (name, number) in [("b", 1), ("c", 2), ("a", 3), ("b", 4)] {
            numbers.set(name.to_owned(), number);
        }
        let found = ["a", "b", "c", "d"].map(|name| numbers.get(name));
        assert_eq!(found, [Some(3), Some(4), Some(2), None]);
        let names: Vec<String> = numbers.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b", "c"]);
    }
}
