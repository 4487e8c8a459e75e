//! The middle of several values, and how far they spread.

/// The value in the middle.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    quartiles(values).1
}

/// The least and the greatest value.
pub(crate) fn extremes(values: &[f64]) -> (f64, f64) {
    values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, greatest), &value| {
            (least.min(value), greatest.max(value))
        })
}

/// The values at a quarter, the half and three quarters of the way.
pub(crate) fn quartiles(values: impl IntoIterator<Item = f64>) -> (f64, f64, f64) {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = share * sorted.len().saturating_sub(1) as f64;
        let (low, high) = (place.floor() as usize, place.ceil() as usize);
        let value = |position| sorted.get(position).copied().unwrap_or(f64::NAN);
        value(low) + (value(high) - value(low)) * (place - place.floor())
    };
    (at(0.25), at(0.5), at(0.75))
}
