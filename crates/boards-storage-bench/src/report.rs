//! The table.

use std::sync::Arc;

use crate::contenders::Contender;
use crate::rows::{Rates, Row};

/// Says how a row went as soon as it is done.
#[expect(clippy::print_stderr, reason = "progress is for whoever waits")]
pub(crate) fn progress(row: Row, contenders: &[Arc<dyn Contender>], rates: &[Rates]) {
    let cells: Vec<String> = contenders
        .iter()
        .zip(rates)
        .map(|(contender, rates)| format!("{} {:.0}", contender.name(), median(rates)))
        .collect();
    eprintln!("{} ({}): {}", row.name(), row.unit(), cells.join(", "));
}

/// Prints all rows. A ratio is the median over the rounds of our rate by the better peer's in the same round.
#[expect(clippy::print_stdout, reason = "the table is the program's output")]
pub(crate) fn table(
    contenders: &[Arc<dyn Contender>],
    measured: &[(Row, Vec<Rates>)],
    markdown: bool,
    fsync: bool,
) {
    let mut header = vec!["row".to_owned(), "unit".to_owned()];
    header.extend(contenders.iter().map(|contender| contender.name().to_owned()));
    header.extend(
        contenders
            .iter()
            .filter(|one| one.is_ours())
            .map(|one| format!("{} by better peer", one.name())),
    );
    let mut lines = vec![header];
    for (row, rates) in measured {
        let mut line = vec![row.name().to_owned(), row.unit().to_owned()];
        line.extend(rates.iter().map(|rates| format!("{:.0}", median(rates))));
        let peers = contenders
            .iter()
            .zip(rates)
            .filter(|(contender, _)| !contender.is_ours());
        let better = peers.max_by(|one, other| median(one.1).total_cmp(&median(other.1)));
        for (_, ours) in contenders
            .iter()
            .zip(rates)
            .filter(|(contender, _)| contender.is_ours())
        {
            line.push(better.map_or_else(String::new, |(peer, theirs)| {
                let ratios: Rates = ours
                    .iter()
                    .zip(theirs)
                    .map(|(ours, theirs)| ours / theirs)
                    .collect();
                format!("{:.2} of {}", median(&ratios), peer.name())
            }));
        }
        lines.push(line);
    }
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|column| lines.iter().map(|line| line[column].len()).max().unwrap_or(0))
        .collect();
    for (index, line) in lines.iter().enumerate() {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        if markdown {
            println!("| {} |", cells.join(" | "));
            if index == 0 {
                let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
                println!("| {} |", dashes.join(" | "));
            }
        } else {
            println!("{}", cells.join("  "));
        }
    }
    println!();
    println!(
        "fsync {}; medians over the rounds. What each keeps and checks:",
        if fsync { "on" } else { "off" }
    );
    println!();
    for contender in contenders {
        println!("- {}: {}", contender.name(), contender.keeps());
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => (sorted[count / 2 - 1] + sorted[count / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn a_median_is_in_the_middle() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(&[]).is_nan());
    }
}
