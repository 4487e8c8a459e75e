//! A mutable value for each rule, by the position of the rule in the configuration.

use std::cell::RefCell;

/// A value for each rule, which is the default until it is changed.
#[derive(Debug, Default)]
pub(crate) struct PerRule<T>(RefCell<Vec<T>>);

impl<T: Default> PerRule<T> {
    /// Reads the value of a rule. None if neither it nor that of a later rule was ever changed.
    pub(crate) fn read<R>(&self, rule: usize, read: impl FnOnce(&T) -> R) -> Option<R> {
        self.0.borrow().get(rule).map(read)
    }

    /// Changes the value of a rule.
    pub(crate) fn change<R: Default>(&self, rule: usize, change: impl FnOnce(&mut T) -> R) -> R {
        let mut values = self.0.borrow_mut();
        if rule >= values.len() {
            values.resize_with(rule.saturating_add(1), T::default);
        }
        values.get_mut(rule).map(change).unwrap_or_default()
    }
}
