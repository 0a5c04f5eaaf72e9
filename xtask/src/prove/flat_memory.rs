//! Memory does not grow with the object: a stream from standard input is stored and read back byte-identical.

use std::io::{BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::Proof;
use super::program::{Build, Program};
use crate::tally::Tally;
use crate::workspace::Workspace;

pub(crate) const PROOF: Proof = Proof {
    name: "flat-memory",
    description: "put of 1 GiB from standard input and cat back: at most 64 MiB of memory each, byte-identical",
    run,
    small: Some(small),
};

pub(super) const MIB: u64 = 1 << 20;
const MEMORY_MIB_MAX: u64 = 64;

fn run(workspace: &Workspace, args: &[String]) -> Result<Tally> {
    super::refuse_arguments(args)?;
    prove(workspace, Build::Release, 1024)
}

fn small(workspace: &Workspace) -> Result<Tally> {
    prove(workspace, Build::Debug, 160)
}

fn prove(workspace: &Workspace, build: Build, size_mib: u64) -> Result<Tally> {
    let program = Program::build(workspace, "flat-memory", build)?;
    let put = put(
        &mut program.command(&["put", "-", "--type", "dataset", "--artifact", "big"]),
        size_mib,
    )?;
    let cat = cat(&mut program.command(&["cat", "big"]), size_mib)?;
    println!(
        "{size_mib} MiB: peak memory of put {} MiB, of cat {} MiB",
        put / MIB,
        cat / MIB
    );
    for (what, peak) in [("put", put), ("cat", cat)] {
        ensure!(
            peak <= MEMORY_MIB_MAX * MIB,
            "{what} took {} MiB, at most {MEMORY_MIB_MAX} are allowed",
            peak / MIB
        );
    }
    Ok(Tally::passed_once())
}

fn put(command: &mut Command, size_mib: u64) -> Result<u64> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("could not start put")?;
    let watch = Watch::start(&child);
    let mut input = child.stdin.take().context("standard input was piped")?;
    let mut pattern = Pattern::default();
    for _ in 0..size_mib {
        input.write_all(pattern.next_mib())?;
    }
    drop(input);
    finish(child, watch)
}

fn cat(command: &mut Command, size_mib: u64) -> Result<u64> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("could not start cat")?;
    let watch = Watch::start(&child);
    let mut output = BufReader::new(child.stdout.take().context("standard output was piped")?);
    let mut pattern = Pattern::default();
    let mut read = vec![0; usize::try_from(MIB)?];
    for number in 0..size_mib {
        output
            .read_exact(&mut read)
            .with_context(|| format!("the output ends in MiB {number}"))?;
        ensure!(
            read == pattern.next_mib(),
            "MiB {number} differs from what was stored"
        );
    }
    ensure!(
        output.read(&mut read)? == 0,
        "the output is longer than what was stored"
    );
    finish(child, watch)
}

fn finish(mut child: Child, watch: Watch) -> Result<u64> {
    let status = child.wait()?;
    let peak = watch.stop();
    ensure!(status.success(), "the program ended with {status}");
    ensure!(peak > 0, "the program's memory could not be read");
    Ok(peak)
}

/// Bytes that do not repeat and can be made again.
pub(super) struct Pattern {
    state: u64,
    buffer: Vec<u8>,
}

impl Default for Pattern {
    fn default() -> Self {
        Self {
            state: 0x9e37_79b9_7f4a_7c15,
            buffer: Vec::new(),
        }
    }
}

impl Pattern {
    pub(super) fn next_mib(&mut self) -> &[u8] {
        self.buffer.clear();
        for _ in 0..MIB / 8 {
            // Xorshift: fast, and no two MiB are alike.
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            self.buffer.extend_from_slice(&self.state.to_le_bytes());
        }
        &self.buffer
    }
}

/// Reads the kernel's own high-water mark of a process's memory until the process ends.
pub(super) struct Watch {
    ended: Arc<AtomicBool>,
    peak: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<()>,
}

impl Watch {
    pub(super) fn start(child: &Child) -> Self {
        let (ended, peak) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let status = format!("/proc/{}/status", child.id());
        let (thread_ended, thread_peak) = (Arc::clone(&ended), Arc::clone(&peak));
        let thread = std::thread::spawn(move || {
            while !thread_ended.load(Ordering::Relaxed) {
                let text = std::fs::read_to_string(&status).unwrap_or_default();
                let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
                let kib = line
                    .and_then(|line| line.trim().strip_suffix(" kB"))
                    .and_then(|kib| kib.parse::<u64>().ok());
                thread_peak.fetch_max(kib.unwrap_or(0) * 1024, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { ended, peak, thread }
    }

    pub(super) fn stop(self) -> u64 {
        self.ended.store(true, Ordering::Relaxed);
        // The thread only reads; if it panicked, the peak is what it saw before.
        let _ = self.thread.join();
        self.peak.load(Ordering::Relaxed)
    }
}
