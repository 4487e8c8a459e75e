//! Percentages. A numerator of zero and the denominator `HUNDRED` are Envoy's defaults, and are left out.

use serde_json::{Value, json};

/// A percentage in millionths (istiod: `translatePercentToFractionalPercent`, which rounds down).
pub fn fraction(percent: f64) -> Value {
    let millionths = format!("{:.0}", (percent * 10_000.0).trunc());
    json!({ "denominator": "MILLION", "numerator": millionths.parse::<u32>().ok().filter(|numerator| *numerator > 0) })
}

/// A whole percentage (istiod: `translateIntegerToFractionalPercent`).
pub fn whole(percent: u64) -> Value {
    json!({ "numerator": Some(percent).filter(|numerator| *numerator > 0) })
}
