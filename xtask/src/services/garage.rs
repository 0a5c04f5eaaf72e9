//! Garage: a second dialect of S3, which ignores every conditional write.
//!
//! It is compiled here, which takes minutes; the program is kept outside of `target`, in the user's cache.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::place::{Place, free_ports};
use super::{Ending, Found, Service, Weight, probe};
use crate::{install, process};

pub(super) const SERVICE: Service = Service {
    name: "garage",
    tests: "S3 on Garage",
    prefix: "BOARDS_STORAGE_TEST_GARAGE__",
    decisive: "BUCKET",
    weight: Weight::Heavy,
    install,
    start,
    ending: Ending::Asked,
    restart: None,
    unproven: &[],
};

const VERSION: &str = "2.5.0";
const REGION: &str = "garage";
const BUCKET: &str = "media";
// Garage takes ids and secrets of its own form only: `GK` and 24 hex digits, 64 hex digits.
const ACCESS_KEY: &str = "GK000000000000000000000001";
const SECRET_KEY: &str = "0000000000000000000000000000000000000000000000000000000000000001";

/// Where the program is installed to, as `bin/garage`.
fn root() -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| {
        let home = std::env::home_dir()?;
        Some(home.join(".cache"))
    });
    let cache = cache.context("no cache folder: set XDG_CACHE_HOME or HOME")?;
    Ok(cache.join(format!("boards-storage/garage-{VERSION}")))
}

fn program() -> Result<PathBuf> {
    Ok(root()?.join("bin/garage"))
}

fn install(_: &Place) -> Result<()> {
    if program()?.is_file() {
        return Ok(());
    }
    install::program("pkg-config", "pkg-config")?;
    for (library, package) in [("libsodium", "libsodium-dev"), ("libzstd", "libzstd-dev")] {
        if !process::succeeds(&mut process::command("pkg-config", &["--exists", library])) {
            install::package(package)?;
        }
    }
    eprintln!("garage is compiled once, which takes some minutes");
    let arguments = ["install", "garage", "--locked", "--version", VERSION];
    let mut command = process::command("cargo", &arguments);
    command
        .args([
            "--no-default-features",
            "--features",
            "lmdb,system-libs",
            "--root",
        ])
        .arg(root()?)
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env_remove("CARGO_TARGET_DIR");
    process::run(&mut command)
}

fn start(place: &mut Place) -> Result<Found> {
    let [s3_port, rpc_port, web_port, admin_port] = free_ports()?;
    let data = place.make("objects")?;
    let metadata = place.make("meta")?;
    let settings = format!(
        "metadata_dir = {metadata:?}
data_dir = {data:?}
db_engine = \"lmdb\"
metadata_fsync = false
data_fsync = false
disable_scrub = true
replication_factor = 1
block_size = \"1M\"
rpc_bind_addr = \"127.0.0.1:{rpc_port}\"
rpc_public_addr = \"127.0.0.1:{rpc_port}\"
rpc_secret = \"{SECRET_KEY}\"
[s3_api]
s3_region = \"{REGION}\"
api_bind_addr = \"127.0.0.1:{s3_port}\"
root_domain = \".s3.localhost\"
[s3_web]
bind_addr = \"127.0.0.1:{web_port}\"
root_domain = \".web.localhost\"
[admin]
api_bind_addr = \"127.0.0.1:{admin_port}\"
"
    );
    let garage = Garage {
        program: program()?,
        settings: place.write("garage.toml", &settings)?,
    };
    place.spawn(
        "garage",
        garage.command(&["server"]).env("RUST_LOG", "garage=warn"),
    )?;
    probe::wait_until(place, "it answers", || {
        process::capture(&mut garage.command(&["node", "id", "-q"])).is_ok()
            && process::capture(&mut garage.command(&["status"])).is_ok()
    })?;
    let id = process::capture(&mut garage.command(&["node", "id", "-q"]))?;
    let id = String::from_utf8_lossy(&id);
    let node = id.trim().split('@').next().unwrap_or_default();
    for arguments in [
        &["layout", "assign", "-z", "dc1", "-c", "10G", node][..],
        &["layout", "apply", "--version", "1"],
    ] {
        process::capture(&mut garage.command(arguments))?;
    }
    probe::wait_until(place, "its layout is live", || {
        probe::answers(admin_port, "/health")
    })?;
    for arguments in [
        &["key", "import", "--yes", "-n", "test", ACCESS_KEY, SECRET_KEY][..],
        &["bucket", "create", BUCKET],
        &[
            "bucket", "allow", "--read", "--write", "--owner", BUCKET, "--key", ACCESS_KEY,
        ],
    ] {
        process::capture(&mut garage.command(arguments))?;
    }
    Ok(vec![
        ("ENDPOINT", format!("http://127.0.0.1:{s3_port}")),
        ("REGION", REGION.to_owned()),
        ("BUCKET", BUCKET.to_owned()),
        ("ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
        ("SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
    ])
}

struct Garage {
    program: PathBuf,
    settings: PathBuf,
}

impl Garage {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = process::command(&self.program.to_string_lossy(), &["-c"]);
        command.arg(&self.settings).args(arguments);
        command
    }
}
