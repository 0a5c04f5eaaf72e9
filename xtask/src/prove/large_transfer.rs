//! A large file goes up to a store and comes down again in flat memory; killed at half, only the missing parts travel.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::ToSocketAddrs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::Proof;
use super::flat_memory::{MIB, Pattern, Watch};
use super::program::{Build, Program};
use super::relay::Relay;
use crate::process;
use crate::services::{Choice, Session};
use crate::tally::Tally;
use crate::workspace::{Workspace, crates};

pub(crate) const PROOF: Proof = Proof {
    name: "large-transfer",
    description: "2 GiB up to S3 and Supabase and down, killed at half: flat memory, only the missing parts travel",
    run,
    small: None,
};

/// What a run may take beyond the parts that are on their way.
const MEMORY_BESIDE: u64 = 48 * MIB;

/// The size of what is moved.
const SIZE_MIB: u64 = 2048;

/// How the program reads into a file.
const RANGES_AT_ONCE: u64 = 4;
const RANGE_BYTES: u64 = 8 * MIB;

/// A store, how to reach it through a relay, and how it takes parts.
struct Store {
    name: &'static str,
    kind: &'static str,
    config: Value,
    /// The field of the configuration that names the server.
    address: &'static str,
    part_bytes: u64,
    concurrency: u64,
}

fn run(workspace: &Workspace, args: &[String]) -> Result<Tally> {
    super::refuse_arguments(args)?;
    let choice = Choice {
        without: ["fake-gcs", "postgres", "redis", "clamd"]
            .map(str::to_owned)
            .to_vec(),
        full: false,
    };
    let session = Session::open(workspace, &choice)?;
    let prove = || {
        let program = Program::build_with(workspace, PROOF.name, Build::Release, &["s3", "supabase"])?;
        let package = ["--release", "--package", crates::TESTKIT];
        let example = ["--features", "supabase", "--example", DOUBLE];
        process::run(&mut workspace.cargo(&[&["build"][..], &package, &example].concat()))?;
        write_input(&program)?;
        let s3 = s3_of(session.environment()).context("the environment names another server: unset it")?;
        check(&program, s3)?;
        let mut double = Double::start(workspace)?;
        check(&program, supabase(&mut double)?)?;
        Ok(Tally::passed_once())
    };
    let outcome = prove();
    session.close(workspace)?;
    outcome
}

/// The example that is the double of Supabase.
const DOUBLE: &str = "supabase_double";

fn write_input(program: &Program) -> Result<()> {
    let mut input = BufWriter::new(File::create(program.folder().join("large.bin"))?);
    let mut pattern = Pattern::default();
    for _ in 0..SIZE_MIB {
        input.write_all(pattern.next_mib())?;
    }
    input.into_inner()?;
    Ok(())
}

/// S3 on our own server, if the environment names one.
fn s3_of(environment: &[(String, String)]) -> Option<Store> {
    let settings: serde_json::Map<_, _> = environment
        .iter()
        .filter_map(|(name, value)| {
            let field = name.strip_prefix("BOARDS_STORAGE_TEST_S3__")?.to_lowercase();
            Some((field, Value::from(value.as_str())))
        })
        .collect();
    settings.contains_key("endpoint").then_some(Store {
        name: "S3 (Ceph)",
        kind: "s3",
        config: Value::Object(settings),
        address: "endpoint",
        part_bytes: 8 * MIB,
        concurrency: 4,
    })
}

fn supabase(double: &mut Double) -> Result<Store> {
    Ok(Store {
        name: "Supabase (double)",
        kind: "supabase",
        config: double.config()?,
        address: "url",
        part_bytes: 6 * MIB,
        concurrency: 1,
    })
}

fn check(program: &Program, mut store: Store) -> Result<()> {
    let url = store.config[store.address]
        .as_str()
        .context("the store has no address")?;
    let rest = url
        .strip_prefix("http://")
        .context("the store is not on this machine")?;
    let (server, path) = rest.split_once('/').unwrap_or((rest, ""));
    let server = server
        .to_socket_addrs()?
        .next()
        .context("the store has no address")?;
    let relay = Relay::start(server)?;
    store.config[store.address] = format!("http://{}/{path}", relay.address()).into();
    let settings = json!({ "storage": {
        "default_provider": "store",
        "data_path": format!("./data-{}", store.kind),
        "providers": { "store": { "type": store.kind, "config": store.config } },
    } });
    // JSON is YAML.
    std::fs::write(program.folder().join("storage.yaml"), settings.to_string())?;
    let size = SIZE_MIB * MIB;
    let put = [
        "put",
        "--resume",
        "large.bin",
        "--type",
        "dataset",
        "--artifact",
        "large",
    ];
    let get = ["get", "--resume", "large", "-o", "copy.bin"];
    for (what, arguments, is_up) in [("put", &put[..], true), ("get", &get[..], false)] {
        // What was on its way when it was killed travels again, once more where the store was still taking it in; the rest
        // is heads.
        let at_once = if is_up { store.concurrency } else { RANGES_AT_ONCE };
        let part_bytes = if is_up { store.part_bytes } else { RANGE_BYTES };
        let slack = 2 * at_once * part_bytes + size / 50;
        let travelled = |relay: &Relay| if is_up { relay.bytes().0 } else { relay.bytes().1 };
        relay.begin();
        let (_, first_peak) = drive(program, arguments, || travelled(&relay) >= size / 2)?;
        std::thread::sleep(Duration::from_millis(500));
        let first = travelled(&relay);
        relay.begin();
        let (is_done, second_peak) = drive(program, arguments, || false)?;
        let second = travelled(&relay);
        let peak = first_peak.max(second_peak);
        println!(
            "{}: {what} killed after {} MiB, then {} MiB travelled; peak memory {} MiB",
            store.name,
            first / MIB,
            second / MIB,
            peak / MIB
        );
        ensure!(is_done, "the second {what} did not end well");
        ensure!(
            first < size * 3 / 4,
            "{what} was not killed at half: {} MiB had travelled",
            first / MIB
        );
        ensure!(
            first + second <= size + slack,
            "{} MiB travelled in both runs of {what}, {} MiB are there",
            (first + second) / MIB,
            SIZE_MIB
        );
        let most = part_bytes * at_once + MEMORY_BESIDE;
        ensure!(
            peak <= most,
            "{what} took {} MiB, at most {} are allowed",
            peak / MIB,
            most / MIB
        );
    }
    process::run(process::command("cmp", &["large.bin", "copy.bin"]).current_dir(program.folder()))?;
    std::fs::remove_file(program.folder().join("copy.bin"))?;
    process::run(&mut program.command(&["rm", "large"]))
}

/// Runs the program, kills it when `is_enough` says so; answers whether it ended well, and its peak memory.
fn drive(program: &Program, arguments: &[&str], is_enough: impl Fn() -> bool) -> Result<(bool, u64)> {
    let mut child = program
        .command(arguments)
        .stdout(Stdio::null())
        .spawn()
        .context("could not start the program")?;
    let watch = Watch::start(&child);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if is_enough() {
            child.kill()?;
            break child.wait()?;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    Ok((status.success(), watch.stop()))
}

/// The double of Supabase in a process of its own.
struct Double {
    child: Child,
}

impl Double {
    /// Starts what was built in release.
    fn start(workspace: &Workspace) -> Result<Self> {
        let path = workspace.target_directory().join("release/examples").join(DOUBLE);
        let child = Command::new(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("could not start the double")?;
        Ok(Self { child })
    }

    /// Reads where it is and makes a bucket by the provider's own setting.
    fn config(&mut self) -> Result<Value> {
        let output = self.child.stdout.take().context("standard output was piped")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let place: Value = serde_json::from_str(&line).context("the double did not say where it is")?;
        Ok(json!({
            "url": place["url"],
            "key": place["key"],
            "bucket": "large",
            "create_bucket": true,
        }))
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        // It holds nothing that is needed later.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
