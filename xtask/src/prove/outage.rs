//! A server goes away under load and comes back: its stand-in serves, and nothing that was acknowledged is lost.
//!
//! The runs are the umbrella's tests `outage`. One takes the server away by a proxy; its small version runs with the
//! other tests. The other has the gateway of Ceph killed and started again, which is done here, when the test says so.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};

use anyhow::{Context as _, Result, bail};

use super::Proof;
use crate::services::{self, Choice, Session};
use crate::tally::Tally;
use crate::test::{cargo_test, gated_features};
use crate::workspace::Workspace;

pub(crate) const PROOF: Proof = Proof {
    name: "outage",
    description: "a gateway killed and started again under load: the fallback serves, nothing acknowledged is lost",
    run,
    small: None,
};

/// The server that is killed.
const SERVER: &str = "ceph";

/// How long each part of a run takes: before, while the server is away, and after.
const PART_SECONDS: u64 = 20;

fn run(workspace: &Workspace, args: &[String]) -> Result<Tally> {
    super::refuse_arguments(args)?;
    let others = ["fake-gcs", "postgres", "redis", "clamd", "garage"];
    let choice = Choice {
        without: others.map(str::to_owned).to_vec(),
        full: false,
    };
    let session = Session::open(workspace, &choice)?;
    let outcome = prove(workspace, &workspace.with_environment(session.environment()));
    session.close(workspace)?;
    outcome
}

fn prove(own: &Workspace, workspace: &Workspace) -> Result<Tally> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    let address = listener.local_addr()?.to_string();
    // As the tests build it, so that nothing is compiled anew.
    let features = gated_features(workspace);
    let arguments = [
        "test",
        "--workspace",
        "--features",
        &features,
        "--test",
        "faults",
        "--",
        "--test-threads=1",
        "outage",
    ];
    let mut command = workspace.cargo(&arguments);
    command
        .env("BOARDS_STORAGE_TEST_OUTAGE_CONTROL", &address)
        .env("BOARDS_STORAGE_TEST_OUTAGE_SECONDS", PART_SECONDS.to_string());
    std::thread::scope(|scope| {
        let controller = scope.spawn(|| control(own, &listener));
        let tally = cargo_test(&mut command);
        // The controller waits for clients until one says that it was the last.
        let _ = TcpStream::connect(&address).and_then(|mut last| last.write_all(b"end\n"));
        let controlled = controller.join();
        let Ok(controlled) = controlled else {
            bail!("the thread that controls the server panicked");
        };
        controlled.and(tally)
    })
}

/// Does what the test asks for: `down` kills the server, `up` starts it again. Each word is answered when it is done.
fn control(workspace: &Workspace, listener: &TcpListener) -> Result<()> {
    for client in listener.incoming() {
        let client = client.context("the test could not connect")?;
        let mut answers = client.try_clone()?;
        for line in BufReader::new(client).lines() {
            let done = match line?.as_str() {
                "down" => services::kill_front(workspace, SERVER),
                "up" => services::restart_front(workspace, SERVER),
                "end" => return Ok(()),
                other => bail!("the test asks for `{other}`: expected down, up or end"),
            };
            if let Err(error) = done {
                writeln!(answers, "failed")?;
                return Err(error);
            }
            writeln!(answers, "ok")?;
        }
    }
    Ok(())
}
