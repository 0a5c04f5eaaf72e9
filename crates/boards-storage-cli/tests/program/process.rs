//! The program as a process: pipes, signals, memory.

use std::io::{Read, Write};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Place, binary};

#[track_caller]
fn wait(child: &mut Child) -> ExitStatus {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(60) {
        if let Some(status) = child.try_wait().expect("asked") {
            return status;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("ended");
    panic!("the program does not end");
}

fn error_text(child: &mut Child) -> String {
    let mut text = String::new();
    child
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut text)
        .expect("read");
    text
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let place = Place::new();
    place.write("a.bin", binary(4_000_000));
    place.run("put a.bin -t dataset --artifact x").ok();
    for line in [
        vec!["cat", "x"],
        vec!["completions", "bash"],
        vec!["config", "schema"],
        vec!["--help"],
    ] {
        let mut child = place.command(&line).spawn().expect("started");
        drop(child.stdout.take());
        let status = wait(&mut child);
        assert_eq!(error_text(&mut child), "", "{line:?}");
        assert!(matches!(status.code(), Some(0 | 141)), "{line:?}: {status}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_the_output_is_told() {
    let place = Place::new();
    place.write("a.txt", "hello");
    place.run("put a.txt -t text --artifact x").ok();
    for line in [["cat", "x"], ["config", "show"], ["ls", "--json"]] {
        let full = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("a full device");
        let mut child = place.command(line).stdout(full).spawn().expect("started");
        assert_eq!(wait(&mut child).code(), Some(11), "{line:?}");
        let told = error_text(&mut child);
        for part in ["cannot write to the standard output", "No space left", "help"] {
            assert!(told.contains(part), "{told}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_and_leaves_nothing_half_done() {
    let place = Place::new();
    place.write("seen", "");
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let mut child = place
            .command(["put", "-", "-t", "text"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("started");
        let mut stdin = child.stdin.take().expect("piped");
        // More than any pipe holds, so that the program is in the middle of it when this is written.
        stdin.write_all(&binary(3_000_000)).expect("taken");
        let sent = std::process::Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status()
            .expect("sent");
        assert!(sent.success());
        let begin = Instant::now();
        assert_eq!(wait(&mut child).code(), Some(code));
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
        assert_eq!(error_text(&mut child), "");
        drop(stdin);
    }
    assert_eq!(place.run("ls --all-tenants").ok().out, "");
    let cancelled = place
        .run("audit query --operation store --outcome cancelled")
        .ok();
    assert_eq!(cancelled.out.lines().count(), 2, "{}", cancelled.out);
}

/// Returns the greatest memory that a process had so far, in KiB.
#[cfg(target_os = "linux")]
fn peak(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("running");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_content() {
    const PIECES: usize = 160;
    const LIMIT_KIB: u64 = 64 << 10;
    let place = Place::new();
    let piece = binary(1 << 20);
    let mut child = place
        .command(["put", "-", "-t", "dataset", "--artifact", "x"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("started");
    let mut stdin = child.stdin.take().expect("piped");
    for _ in 0..PIECES {
        stdin.write_all(&piece).expect("taken");
    }
    let used = peak(&child);
    drop(stdin);
    assert!(wait(&mut child).success());
    assert!(used <= LIMIT_KIB, "put used {used} KiB");

    let mut child = place.command(["cat", "x"]).spawn().expect("started");
    let mut stdout = child.stdout.take().expect("piped");
    let mut read = vec![0; piece.len()];
    for number in 0..PIECES {
        if number + 1 == PIECES {
            let used = peak(&child);
            assert!(used <= LIMIT_KIB, "cat used {used} KiB");
        }
        stdout.read_exact(&mut read).expect("given");
        assert!(read == piece, "piece {number}");
    }
    assert!(wait(&mut child).success());
}
