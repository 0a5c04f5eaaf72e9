//! Ceph's object gateway (`radosgw`) on a cluster of one monitor and one object store that lives in memory.
//!
//! Without authentication between its own processes, without a manager, on the loopback address alone.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::place::{Place, free_ports};
use super::state::State;
use super::{Ending, Found, Service, Weight, probe};
use crate::{install, process};

pub(super) const SERVICE: Service = Service {
    name: "ceph",
    tests: "S3 on Ceph",
    prefix: "BOARDS_STORAGE_TEST_S3__",
    decisive: "BUCKET",
    weight: Weight::Light,
    install: |_| {
        install::programs(&[
            ("ceph-mon", "ceph-mon"),
            ("ceph-osd", "ceph-osd"),
            ("radosgw", "radosgw"),
            ("ceph", "ceph-common"),
            ("curl", "curl"),
        ])
    },
    start,
    ending: Ending::Killed,
    restart: Some(restart),
    unproven: &[
        "preconditions of CompleteMultipartUpload and of CopyObject (ignored by the server, proven on the wire)",
        "If-Match of PUT (loses races on the server, proven on the wire)",
        "checksums kept by the store (ignored by the server, proven on the wire and on Garage)",
        "copies of objects with customer keys (501 on the server)",
    ],
};

const SETTINGS_FILE: &str = "ceph.conf";
const ACCESS_KEY: &str = "cephtestaccesskey00";
const SECRET_KEY: &str = "cephtestsecretkey0000000000000000000000";
const BUCKET: &str = "media";

/// The SHA-256 of no bytes, which a signed request without a body names.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn start(place: &mut Place) -> Result<Found> {
    let [gateway_port, monitor_port] = free_ports()?;
    for folder in ["run", "mon", "osd/ceph-0", "crash"] {
        place.make(folder)?;
    }
    place.write("keyring", "")?;
    let cluster = random_uuid()?;
    let settings = settings(place, &cluster, monitor_port, gateway_port);
    let ceph = Ceph(place.write(SETTINGS_FILE, &settings)?);
    start_monitor(place, &ceph, &cluster, monitor_port)?;
    start_store(place, &ceph)?;
    start_gateway(place, &ceph, gateway_port)?;
    let keys = [
        "--access-key",
        ACCESS_KEY,
        "--secret-key",
        SECRET_KEY,
        "--uid=test",
        "--display-name=test",
    ];
    process::capture(&mut ceph.command("radosgw-admin", &[&["user", "create"][..], &keys].concat()))?;
    let endpoint = format!("http://127.0.0.1:{gateway_port}");
    make_bucket(&endpoint)?;
    Ok(vec![
        ("ENDPOINT", endpoint),
        ("REGION", "us-east-1".to_owned()),
        ("BUCKET", BUCKET.to_owned()),
        ("ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
        ("SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ("CONDITIONAL_WRITES", "if_absent".to_owned()),
    ])
}

fn start_gateway(place: &mut Place, ceph: &Ceph, port: u16) -> Result<()> {
    let mut gateway = ceph.command("radosgw", &["--foreground", "-n", "client.rgw.a"]);
    place.spawn("radosgw", &mut gateway)?;
    probe::wait_until(place, "the gateway answers", || probe::answers(port, "/"))
}

/// Starts the gateway again; what it stored is in the object store, which ran on.
fn restart(place: &mut Place, state: &State) -> Result<()> {
    let ceph = Ceph(place.data().join(SETTINGS_FILE));
    let port = state.address().and_then(|address| address.rsplit_once(':'));
    let (_, port) = port.context("the gateway has no port")?;
    start_gateway(
        place,
        &ceph,
        port.parse().context("the gateway's port is no number")?,
    )
}

/// The programs of Ceph with their settings.
struct Ceph(PathBuf);

impl Ceph {
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = process::command(program, &["-c"]);
        command.arg(&self.0).args(arguments);
        command
    }

    fn ask(&self, arguments: &[&str]) -> Command {
        self.command("ceph", &[&["--connect-timeout", "3"], arguments].concat())
    }
}

fn start_monitor(place: &mut Place, ceph: &Ceph, cluster: &str, port: u16) -> Result<()> {
    let map = place.data().join("monmap");
    let address = format!("[v1:127.0.0.1:{port}]");
    let arguments = [
        "--create",
        "--clobber",
        "--fsid",
        cluster,
        "--addv",
        "a",
        &address,
    ];
    process::capture(process::command("monmaptool", &arguments).arg(&map))?;
    let mut make = ceph.command("ceph-mon", &["--mkfs", "-i", "a", "--monmap"]);
    process::capture(make.arg(&map))?;
    place.spawn("ceph-mon", &mut ceph.command("ceph-mon", &["-f", "-i", "a"]))?;
    probe::wait_until(place, "the monitor answers", || {
        process::capture(&mut ceph.ask(&["mon", "stat"])).is_ok()
    })
}

fn start_store(place: &mut Place, ceph: &Ceph) -> Result<()> {
    let id = random_uuid()?;
    process::capture(&mut ceph.ask(&["osd", "new", &id, "0"]))?;
    let position = ["osd", "crush", "add", "osd.0", "1.0", "root=default", "host=h0"];
    process::capture(&mut ceph.ask(&position))?;
    process::capture(&mut ceph.command("ceph-osd", &["-i", "0", "--mkfs", "--osd-uuid", &id]))?;
    place.spawn("ceph-osd", &mut ceph.command("ceph-osd", &["-f", "-i", "0"]))?;
    probe::wait_until(place, "the object store is up", || {
        probe::prints(&mut ceph.ask(&["osd", "stat"]), "1 up")
    })
}

fn make_bucket(endpoint: &str) -> Result<()> {
    let user = format!("{ACCESS_KEY}:{SECRET_KEY}");
    let hash = format!("x-amz-content-sha256: {EMPTY_SHA256}");
    let arguments = [
        "--silent",
        "--show-error",
        "--fail",
        "--request",
        "PUT",
        "--header",
        &hash,
        "--aws-sigv4",
        "aws:amz:us-east-1:s3",
        "--user",
        &user,
    ];
    process::capture(process::command("curl", &arguments).arg(format!("{endpoint}/{BUCKET}")))
        .context("the bucket could not be made")?;
    Ok(())
}

fn random_uuid() -> Result<String> {
    let path = "/proc/sys/kernel/random/uuid";
    let text = std::fs::read_to_string(path).with_context(|| format!("could not read {path}"))?;
    Ok(text.trim().to_owned())
}

/// The settings. Those with a reason that can't be seen:
/// - `paxos_*`: the monitor waits for peers otherwise, and the start takes 15 s;
/// - `osd_*_update_on_start`: those commands race with the first monitor map, and lose now and then;
/// - `tcp_nodelay`: a small GET takes 45 ms otherwise.
fn settings(place: &Place, cluster: &str, monitor_port: u16, gateway_port: u16) -> String {
    let (data, logs) = (place.data(), place.logs());
    let (data, logs) = (data.display(), logs.display());
    format!(
        "[global]
fsid = {cluster}
mon_host = v1:127.0.0.1:{monitor_port}
mon_initial_members = a
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_ipv6 = false
run_dir = {data}/run
admin_socket = {data}/run/$name.asok
pid_file =
log_file = {logs}/$name.log
keyring = {data}/keyring
crash_dir = {data}/crash
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 2000
mon_data_avail_crit = 0
mon_data_avail_warn = 0
mon_osd_full_ratio = .99
mon_osd_nearfull_ratio = .98
[mon]
mon_data = {data}/mon/ceph-$id
mon_osd_min_down_reporters = 1
paxos_propose_interval = 0.05
paxos_min_wait = 0.02
[osd]
osd_data = {data}/osd/ceph-$id
osd_objectstore = memstore
memstore_device_bytes = 12884901888
osd_class_load_list = *
osd_class_default_list = *
osd_op_num_shards = 2
osd_class_update_on_start = false
osd_crush_update_on_start = false
[client]
rgw_frontends = beast endpoint=127.0.0.1:{gateway_port} tcp_nodelay=1
rgw_enable_usage_log = false
rgw_enable_ops_log = false
rgw_crypt_require_ssl = false
rgw_thread_pool_size = 64
rgw_gc_obj_min_wait = 1
rgw_gc_processor_period = 2
"
    )
}
