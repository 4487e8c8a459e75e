//! Tables in the output of commands, for people.

use crate::shorten::shortened;

/// The cells of a row. Long texts are shortened.
pub fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(|cell| shortened(cell.to_owned())).to_vec()
}

/// Rows of cells in columns. Cells that are those of the row above stay empty, from the left up to the first other one.
pub struct Table {
    head: Vec<String>,
    /// The rows below the head.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these heads of columns.
    pub fn new<const N: usize>(head: [&str; N]) -> Self {
        Self {
            head: row(head),
            rows: Vec::new(),
        }
    }

    /// The table, unless it has no rows.
    pub fn render(&self) -> Option<String> {
        let mut previous: &[String] = self.rows.first().map(|_| [].as_slice())?;
        let mut rows = vec![self.head.clone()];
        for row in &self.rows {
            let last = row.len().saturating_sub(1);
            let mut same = true;
            let mut shown = Vec::new();
            for (column, cell) in row.iter().enumerate() {
                same = same && column != last && previous.get(column) == Some(cell);
                shown.push(if same { String::new() } else { cell.clone() });
            }
            rows.push(shown);
            previous = row;
        }
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths);
            let cells: Vec<String> = cells.map(|(cell, width)| format!("{cell:width$}")).collect();
            format!("{}\n", cells.join("  ").trim_end())
        };
        Some(rows.iter().map(line).collect())
    }
}
