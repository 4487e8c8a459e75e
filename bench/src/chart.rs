//! The chart: processor time for one request, by gateway and situation.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::{figures::quartiles, results::Results, variant::Variant};

const SIZE: (u32, u32) = (860, 420);
/// The library draws letters at seven tenths of this size.
const LETTERS: (&str, u32) = ("sans-serif", 17);
/// What is shown, and in which colour.
const SHOWN: [(&str, &str, RGBColor); 2] = [
    ("live", "live session", RGBColor(0x2b, 0x6c, 0xb0)),
    ("new", "new session with every request", RGBColor(0xa0, 0xae, 0xc0)),
];
const VARIANTS: [Variant; 6] = [
    Variant::NoFilter,
    Variant::Native,
    Variant::Empty,
    Variant::Pieces,
    Variant::Mooring,
    Variant::MooringSplit,
];

/// Draws it.
pub(crate) fn draw(results: &Results, file: &Path) -> Result<()> {
    // What the library's errors borrow does not outlive this function.
    paint(results, file).map_err(|error| anyhow!("the chart: {error}"))
}

fn paint(results: &Results, file: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let bars = bars(results);
    let top = bars.iter().map(|bar| bar.quartiles.2).fold(1.0, f64::max) * 1.15;
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .caption(
            "Processor time of Envoy for one request, HTTP/1.1, one worker",
            ("sans-serif", 22),
        )
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..VARIANTS.len() as f64, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .max_light_lines(1)
        .label_style(LETTERS)
        .y_desc("µs")
        .draw()?;
    for (place, variant) in VARIANTS.iter().enumerate() {
        let text = Text::new(variant.title(), (place as f64 + 0.08, -top * 0.03), LETTERS);
        chart.plotting_area().draw(&text)?;
    }
    for (number, (_, title, colour)) in SHOWN.iter().enumerate() {
        let colour = *colour;
        let own = bars.iter().filter(|bar| bar.situation == number);
        let rectangles = own.clone().map(|bar| {
            let (left, right) = bar.sides();
            Rectangle::new([(left, 0.0), (right, bar.quartiles.1)], colour.filled())
        });
        chart
            .draw_series(rectangles)?
            .label(*title)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 10, y + 5)], colour.filled()));
        for bar in own {
            let (left, right) = bar.sides();
            let (low, middle, high) = bar.quartiles;
            let centre = f64::midpoint(left, right);
            let plot = chart.plotting_area();
            plot.draw(&PathElement::new([(centre, low), (centre, high)], BLACK))?;
            let text = Text::new(format!("{middle:.1}"), (left + 0.06, high + top * 0.05), LETTERS);
            plot.draw(&text)?;
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .label_font(LETTERS)
        .draw()?;
    root.present()?;
    Ok(())
}

struct Bar {
    variant: usize,
    situation: usize,
    quartiles: (f64, f64, f64),
}

impl Bar {
    fn sides(&self) -> (f64, f64) {
        let left = self.variant as f64 + 0.1 + self.situation as f64 * 0.4;
        (left, left + 0.38)
    }
}

fn bars(results: &Results) -> Vec<Bar> {
    let mut bars = Vec::new();
    for (situation, (name, ..)) in SHOWN.iter().enumerate() {
        for (variant, of) in VARIANTS.iter().enumerate() {
            if let Some(series) = results.series(name, of.title()) {
                let quartiles = quartiles(series.runs.iter().map(|run| run.cpu));
                bars.push(Bar {
                    variant,
                    situation,
                    quartiles,
                });
            }
        }
    }
    bars
}
