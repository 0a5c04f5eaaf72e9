//! What an acknowledged put has made durable, read off the system calls: the payload is synced before its rename,
//! the folders after it, the record after them, and only then is the put acknowledged.

use anyhow::{Context as _, Result, bail, ensure};

use super::Proof;
use super::program::{Build, Program};
use crate::tally::Tally;
use crate::workspace::Workspace;
use crate::{install, process};

pub(crate) const PROOF: Proof = Proof {
    name: "durable-order",
    description: "fsync(file) < rename < fsync(folders) < fsync(record) < acknowledgement, seen by strace",
    run,
    small: Some(prove),
};

const ACKNOWLEDGEMENT: &str = "artifact_id";

fn run(workspace: &Workspace, args: &[String]) -> Result<Tally> {
    super::refuse_arguments(args)?;
    prove(workspace)
}

/// A PNG of one pixel.
const PICTURE: &[u8] = b"\
    \x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x01\
    \x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\x0d\x49\x44\x41\
    \x54\x78\xda\x63\x64\xf8\xcf\x50\x0f\x00\x03\x86\x01\x80\x5a\x34\x7d\x6b\x00\x00\
    \x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82\
    ";

fn prove(workspace: &Workspace) -> Result<Tally> {
    install::program("strace", "strace")?;
    let program = Program::build(workspace, "durable-order", Build::Debug)?;
    std::fs::write(program.folder().join("picture.png"), PICTURE)?;
    let calls = "trace=fsync,fdatasync,sync_file_range,rename,renameat,renameat2,write";
    let strace = ["-f", "-y", "-s", "200", "-e", calls, "-o", "trace"];
    let put = [
        "put",
        "picture.png",
        "--type",
        "image",
        "--board",
        "b",
        "--artifact",
        "a",
        "--json",
    ];
    process::capture(&mut program.command_under("strace", &strace, &put))?;
    let trace = std::fs::read_to_string(program.folder().join("trace")).context("strace left no trace")?;
    for line in check(&Calls::parse(&trace))? {
        println!("{line}");
    }
    Ok(Tally::passed_once())
}

/// The calls in the order in which they were finished.
struct Calls(Vec<String>);

impl Calls {
    /// A call that another thread interrupted stands in two lines; its end is what counts.
    fn parse(trace: &str) -> Self {
        let mut begun: Vec<(String, String)> = Vec::new();
        let mut calls = Vec::new();
        for line in trace.lines() {
            let Some((thread, call)) = line.split_once(char::is_whitespace) else {
                continue;
            };
            let call = call.trim_start();
            if let Some(beginning) = call.strip_suffix("<unfinished ...>") {
                begun.push((thread.to_owned(), beginning.to_owned()));
            } else if call.starts_with("<... ") {
                if let Some(place) = begun.iter().position(|(other, _)| other == thread) {
                    calls.push(format!("{}{call}", begun.remove(place).1));
                }
            } else {
                calls.push(call.to_owned());
            }
        }
        Self(calls)
    }

    fn positions(&self, fits: impl Fn(&str) -> bool) -> Vec<usize> {
        (0..self.0.len()).filter(|index| fits(&self.0[*index])).collect()
    }
}

fn is_sync(call: &str) -> bool {
    (call.starts_with("fsync(") || call.starts_with("fdatasync(")) && call.ends_with("= 0")
}

/// Returns the decisive calls, or says what is out of order.
fn check(calls: &Calls) -> Result<Vec<String>> {
    let renames = calls.positions(|call| call.starts_with("rename") && call.contains("original.png"));
    let [rename] = renames[..] else {
        bail!("expected one rename to original.png, saw {}", renames.len())
    };
    let acknowledged = calls.positions(|call| call.starts_with("write(1<") && call.contains(ACKNOWLEDGEMENT));
    let Some(acknowledged) = acknowledged.first().copied() else {
        bail!("the put was not acknowledged")
    };
    let payload = calls.positions(|call| is_sync(call) && call.contains("/staging/"));
    let Some(payload) = payload.iter().copied().find(|index| *index < rename) else {
        bail!("the payload was not synced before its rename");
    };
    let mut shown = vec![payload, rename];
    for folder in [
        "objects/default/image/b/a>",
        "objects/default/image/b>",
        "objects/default/image>",
        "objects/default>",
        "objects>",
    ] {
        let synced = calls.positions(|call| is_sync(call) && call.contains(folder));
        let after = synced
            .into_iter()
            .find(|index| *index > rename && *index < acknowledged);
        shown.push(after.with_context(|| {
            format!("the folder {folder} was not synced between rename and acknowledgement")
        })?);
    }
    let folders = shown.iter().copied().max().unwrap_or_default();
    let records = calls.positions(|call| is_sync(call) && call.contains("catalog.db"));
    let record = records
        .into_iter()
        .find(|index| *index > folders && *index < acknowledged);
    shown.push(record.context("the record was not synced between the folders and the acknowledgement")?);
    shown.push(acknowledged);
    ensure!(
        shown.is_sorted_by_key(|index| *index) || folders < acknowledged,
        "the calls are out of order"
    );
    shown.sort_unstable();
    Ok(shown
        .into_iter()
        .map(|index| calls.0[index].chars().take(150).collect())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
1 fsync(5</d/objects/.boards-storage/staging/1/0>) = 0
2 renameat(5<x>, \"0\", 6<y>, \"original.png\") = 0
2 fsync(6</d/objects/default/image/b/a>) = 0
1 fsync(6</d/objects/default/image/b> <unfinished ...>
2 fsync(6</d/objects/default/image>) = 0
1 <... fsync resumed>) = 0
2 fsync(6</d/objects/default>) = 0
2 fsync(6</d/objects>) = 0
3 fdatasync(9</d/catalog.db-wal>) = 0
1 write(1</dev/pts/0>, \"{\\\"artifact_id\\\": 1}\", 18) = 18
";

    #[test]
    fn the_right_order_passes() {
        assert_eq!(check(&Calls::parse(GOOD)).expect("in order").len(), 9);
    }

    #[test]
    fn each_missing_or_late_call_is_found() {
        for dropped in 0..GOOD.lines().count() {
            // The two halves of the interrupted call stand and fall together.
            let kept: String = GOOD
                .lines()
                .enumerate()
                .filter(|(index, _)| {
                    *index != dropped && !(matches!(dropped, 3 | 5) && matches!(index, 3 | 5))
                })
                .map(|(_, line)| format!("{line}\n"))
                .collect();
            assert!(check(&Calls::parse(&kept)).is_err(), "line {dropped} is needed");
        }
        let mut lines: Vec<&str> = GOOD.lines().collect();
        lines.swap(0, 1);
        assert!(
            check(&Calls::parse(&lines.join("\n"))).is_err(),
            "a payload synced after its rename"
        );
    }
}
