//! Redis, in memory alone.

use anyhow::Result;

use super::place::{Place, free_ports};
use super::{Ending, Found, Service, Weight, probe};
use crate::{install, process};

pub(super) const SERVICE: Service = Service {
    name: "redis",
    tests: "Redis",
    prefix: "BOARDS_STORAGE_TEST_REDIS__",
    decisive: "URL",
    weight: Weight::Light,
    install: |_| install::program("redis-server", "redis-server"),
    start,
    ending: Ending::Asked,
    restart: None,
    unproven: &[],
};

fn start(place: &mut Place) -> Result<Found> {
    let [port] = free_ports()?;
    let folder = place.make("files")?;
    let mut server = process::command("redis-server", &["--bind", "127.0.0.1"]);
    server
        .args(["--port", &port.to_string()])
        .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
        .arg("--dir")
        .arg(folder);
    place.spawn("redis-server", &mut server)?;
    probe::wait_until(place, "it answers", || {
        probe::ask(port, b"PING\r\n", b'\n').is_ok_and(|answer| is_pong(&answer))
    })?;
    Ok(vec![("URL", format!("redis://127.0.0.1:{port}/0"))])
}

/// Whether a PING was answered: while it loads, and to a stranger, the server says something else.
fn is_pong(answer: &[u8]) -> bool {
    answer == b"+PONG\r\n"
}

#[cfg(test)]
mod tests {
    use super::is_pong;

    #[test]
    fn only_a_pong_answers_a_ping() {
        assert!(is_pong(b"+PONG\r\n"));
        assert!(!is_pong(b"-LOADING Redis is loading the dataset in memory\r\n"));
        assert!(!is_pong(b"-NOAUTH Authentication required.\r\n"));
        assert!(!is_pong(b"+PON"));
        assert!(!is_pong(b""));
    }
}
