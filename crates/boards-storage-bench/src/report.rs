//! The tables.

use std::sync::Arc;

use crate::contenders::Contender;
use crate::rows::{Row, Turn, Turns};

/// What was measured: for each row, the turns of each contender.
pub(crate) type Measured = Vec<(Row, Vec<Turns>)>;

/// How tables are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Plain,
    Markdown,
}

/// Says how a row went as soon as it is done.
#[expect(clippy::print_stderr, reason = "progress is for whoever waits")]
pub(crate) fn progress(row: Row, contenders: &[Arc<dyn Contender>], turns: &[Turns]) {
    let cells: Vec<String> = contenders
        .iter()
        .zip(turns)
        .map(|(contender, turns)| {
            let (rate, cpu) = (median(&rates(turns)), median(&cpus(turns)));
            format!("{} {rate:.0} ({cpu:.2} s)", contender.name())
        })
        .collect();
    eprintln!("{} ({}): {}", row.name(), row.unit(), cells.join(", "));
}

/// Prints the rates, and ours by the best peer's: the median over the rounds of the ratio in the same round. The best
/// peer is the one beside which we look worst.
#[expect(clippy::print_stdout, reason = "the table is the program's output")]
pub(crate) fn print(contenders: &[Arc<dyn Contender>], measured: &Measured, format: Format, note: &str) {
    print_table(&rate_table(contenders, measured), format);
    println!();
    println!("{note}Medians over the rounds. Processor time of this process in a turn, in seconds:");
    println!();
    print_table(&cpu_table(contenders, measured), format);
    let streamed = peak_table(contenders, measured);
    if streamed.len() > 1 {
        println!();
        println!("Greatest peak of this process's memory in a turn, in MiB:");
        println!();
        print_table(&streamed, format);
    }
    println!();
    println!("What each keeps and checks:");
    println!();
    for contender in contenders {
        println!("- {}: {}", contender.name(), contender.keeps());
    }
}

type Lines = Vec<Vec<String>>;

fn header(first: &[&str], contenders: &[Arc<dyn Contender>]) -> Vec<String> {
    let first = first.iter().map(|text| (*text).to_owned());
    first
        .chain(contenders.iter().map(|contender| contender.name().to_owned()))
        .collect()
}

fn rate_table(contenders: &[Arc<dyn Contender>], measured: &Measured) -> Lines {
    let mut first = header(&["row", "unit"], contenders);
    let ours = contenders.iter().filter(|one| one.is_ours());
    first.extend(ours.map(|one| format!("{} by best peer", one.name())));
    let mut lines = vec![first];
    for (row, turns) in measured {
        let mut line = vec![row.name().to_owned(), row.unit().to_owned()];
        line.extend(turns.iter().map(|turns| format!("{:.0}", median(&rates(turns)))));
        let both = || contenders.iter().zip(turns);
        for (_, ours) in both().filter(|(contender, _)| contender.is_ours()) {
            let peers = both().filter(|(contender, _)| !contender.is_ours());
            let ratios = peers.map(|(peer, theirs)| (paired_ratio(ours, theirs), peer.name()));
            let worst = ratios.min_by(|(one, _), (other, _)| one.total_cmp(other));
            line.push(worst.map_or_else(String::new, |(ratio, peer)| format!("{ratio:.2} of {peer}")));
        }
        lines.push(line);
    }
    lines
}

fn cpu_table(contenders: &[Arc<dyn Contender>], measured: &Measured) -> Lines {
    let mut lines = vec![header(&["row"], contenders)];
    for (row, turns) in measured {
        let mut line = vec![row.name().to_owned()];
        line.extend(turns.iter().map(|turns| format!("{:.2}", median(&cpus(turns)))));
        lines.push(line);
    }
    lines
}

/// The peaks of the rows that must stay flat; a peak that is not known is left out.
fn peak_table(contenders: &[Arc<dyn Contender>], measured: &Measured) -> Lines {
    let mut lines = vec![header(&["row"], contenders)];
    for (row, turns) in measured.iter().filter(|(row, _)| row.is_streamed()) {
        let mut line = vec![row.name().to_owned()];
        line.extend(turns.iter().map(|turns| {
            let peaks = turns.iter().filter_map(|turn| turn.peak_mib);
            let peak = peaks.max_by(f64::total_cmp);
            peak.map_or_else(String::new, |peak| format!("{peak:.0}"))
        }));
        lines.push(line);
    }
    lines
}

#[expect(clippy::print_stdout, reason = "the table is the program's output")]
fn print_table(lines: &Lines, format: Format) {
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|column| lines.iter().map(|line| line[column].len()).max().unwrap_or(0))
        .collect();
    for (index, line) in lines.iter().enumerate() {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        match format {
            Format::Plain => println!("{}", cells.join("  ")),
            Format::Markdown => {
                println!("| {} |", cells.join(" | "));
                if index == 0 {
                    let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
                    println!("| {} |", dashes.join(" | "));
                }
            }
        }
    }
}

fn rates(turns: &[Turn]) -> Vec<f64> {
    turns.iter().map(|turn| turn.rate).collect()
}

fn cpus(turns: &[Turn]) -> Vec<f64> {
    turns.iter().map(|turn| turn.cpu).collect()
}

fn paired_ratio(ours: &[Turn], theirs: &[Turn]) -> f64 {
    let ratios: Vec<f64> = ours
        .iter()
        .zip(theirs)
        .map(|(ours, theirs)| ours.rate / theirs.rate)
        .collect();
    median(&ratios)
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
    use async_trait::async_trait;
    use bytes::Bytes;

    use super::*;
    use crate::contenders::Result;

    #[test]
    fn a_median_is_in_the_middle() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(&[]).is_nan());
    }

    struct Named(&'static str);

    #[async_trait]
    impl Contender for Named {
        fn name(&self) -> &'static str {
            self.0
        }
        fn is_ours(&self) -> bool {
            self.0 == "ours"
        }
        fn keeps(&self) -> &'static str {
            "nothing"
        }
        async fn put(&self, _: &str, _: Bytes) -> Result<()> {
            Ok(())
        }
        async fn get(&self, _: &str) -> Result<usize> {
            Ok(0)
        }
        async fn stat(&self, _: &str) -> Result<u64> {
            Ok(0)
        }
        async fn put_stream(&self, _: &str, _: Bytes, _: usize) -> Result<()> {
            Ok(())
        }
        async fn get_stream(&self, _: &str) -> Result<u64> {
            Ok(0)
        }
        async fn list(&self, _: &str) -> Result<usize> {
            Ok(0)
        }
        async fn delete(&self, _: &str) -> Result<()> {
            Ok(())
        }
    }

    fn turns(rates: &[f64]) -> Turns {
        let turn = |rate: &f64| Turn {
            rate: *rate,
            cpu: 1.0,
            peak_mib: Some(*rate),
        };
        rates.iter().map(turn).collect()
    }

    #[test]
    fn the_best_peer_is_the_one_beside_which_ours_looks_worst_pair_by_pair() {
        let contenders: Vec<Arc<dyn Contender>> = vec![
            Arc::new(Named("ours")),
            Arc::new(Named("steady")),
            Arc::new(Named("slow")),
        ];
        // The machine gets slower; in each round ours is 0.9 of the steady one.
        let rounds = vec![
            turns(&[90.0, 45.0, 9.0]),
            turns(&[100.0, 50.0, 10.0]),
            turns(&[1.0, 1.0, 1.0]),
        ];
        let measured = vec![(Row::PutStream, rounds)];
        let lines = rate_table(&contenders, &measured);
        assert_eq!(lines[1].last().map(String::as_str), Some("0.90 of steady"));
        assert_eq!(lines[0].last().map(String::as_str), Some("ours by best peer"));
        assert_eq!(
            cpu_table(&contenders, &measured)[1][1..],
            ["1.00", "1.00", "1.00"]
        );
        assert_eq!(peak_table(&contenders, &measured)[1][1..], ["90", "100", "1"]);
    }
}
