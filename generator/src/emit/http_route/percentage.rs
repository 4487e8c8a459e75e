//! Percentages.

use serde_json::{Value, json};

/// A percentage in millionths, the unit that istiod uses.
pub fn fraction(percent: f64) -> Value {
    let millionths = format!("{:.0}", percent * 10_000.0);
    json!({ "denominator": "MILLION", "numerator": millionths.parse::<u32>().unwrap_or(0) })
}
