//! The summary at the end of a run: one row per step, with its outcome and its duration.

use std::time::Duration;

/// One step that ran, or that was not reached.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) outcome: String,
    pub(crate) duration: Duration,
}

/// Prints a heading before a step, so that it is found in a long output.
pub(crate) fn print_heading(name: &str) {
    println!("\n== {name}");
}

/// Prints the rows as a table with aligned columns.
pub(crate) fn print_table(title: &str, rows: &[Row]) {
    println!("\n== {title}");
    for line in lines(rows) {
        println!("{line}");
    }
}

fn lines(rows: &[Row]) -> Vec<String> {
    let width = |text: fn(&Row) -> &str| {
        rows.iter()
            .map(|row| text(row).chars().count())
            .max()
            .unwrap_or(0)
    };
    let name_width = width(|row| &row.name);
    let outcome_width = width(|row| &row.outcome);
    rows.iter()
        .map(
            |Row {
                 name,
                 outcome,
                 duration,
             }| {
                let seconds = duration.as_secs_f64();
                format!("  {name:name_width$}  {outcome:outcome_width$}  {seconds:8.1} s")
            },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Row, lines};

    #[test]
    fn columns_are_aligned() {
        let row = |name: &str, outcome: &str, milliseconds| Row {
            name: name.to_owned(),
            outcome: outcome.to_owned(),
            duration: Duration::from_millis(milliseconds),
        };
        let lines = lines(&[row("fmt", "ok", 1_250), row("clippy", "FAILED", 90_000)]);
        assert_eq!(
            lines,
            ["  fmt     ok           1.2 s", "  clippy  FAILED      90.0 s"]
        );
    }
}
