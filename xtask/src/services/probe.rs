//! Waiting until a server answers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::place::Place;
use crate::process;

/// How long a server may take until it answers.
const START_TIME_MAX: Duration = Duration::from_secs(60);

/// How long one question may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// More than any answer of a server that is asked by [`ask`].
const ANSWER_BYTES_MAX: u64 = 4096;

/// How often a server that does not answer yet is asked.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Waits until `is_ready`, or until a process of the server has ended, or too long.
pub(super) fn wait_until(place: &Place, what: &str, mut is_ready: impl FnMut() -> bool) -> Result<()> {
    let started = Instant::now();
    while !is_ready() {
        if !place.is_alive() {
            bail!("a process ended while it was waited until {what}");
        }
        if started.elapsed() >= START_TIME_MAX {
            bail!("it took longer than {START_TIME_MAX:?} until {what}");
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

/// Whether a GET of `path` on a port of this machine is answered with 200.
pub(super) fn answers(port: u16, path: &str) -> bool {
    status_of(port, &format!("GET {path}"), "").is_ok_and(|status| status == Some(200))
}

/// Sends JSON to a port of this machine; another answer than 200 is an error.
pub(super) fn post_json(port: u16, path: &str, body: &str) -> Result<()> {
    match status_of(port, &format!("POST {path}"), body)? {
        Some(200) => Ok(()),
        status => bail!("POST {path} was answered with {status:?}, expected 200"),
    }
}

/// Whether a command ends well, soon, and prints `text`.
pub(super) fn prints(command: &mut Command, text: &str) -> bool {
    process::capture(command).is_ok_and(|output| String::from_utf8_lossy(&output).contains(text))
}

/// Sends a request to a port of this machine and reads the answer through to the byte `end`, or as far as it goes.
pub(super) fn ask(port: u16, request: &[u8], end: u8) -> std::io::Result<Vec<u8>> {
    let mut stream = connect(port)?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    BufReader::new(stream.take(ANSWER_BYTES_MAX)).read_until(end, &mut answer)?;
    Ok(answer)
}

fn connect(port: u16) -> std::io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, ANSWER_TIME_MAX)?;
    stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
    stream.set_write_timeout(Some(ANSWER_TIME_MAX))?;
    Ok(stream)
}

fn status_of(port: u16, what: &str, body: &str) -> std::io::Result<Option<u16>> {
    let mut stream = connect(port)?;
    let request = format!(
        "{what} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(64).read_to_end(&mut answer)?;
    let line = String::from_utf8_lossy(&answer);
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    Ok(status.and_then(|digits| digits.parse().ok()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread::JoinHandle;

    use super::{answers, ask};

    /// A server for one request that ends so.
    fn serve(request_end: &'static [u8], answer: &'static [u8]) -> (u16, JoinHandle<()>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // To the end of the request: what is left unread would reset the connection.
            let mut asked = Vec::new();
            while !asked.ends_with(request_end) {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                asked.extend(byte);
            }
            stream.write_all(answer).unwrap();
        });
        (port, server)
    }

    #[track_caller]
    fn check(answer: &'static str, expected: bool) {
        let (port, server) = serve(b"\r\n\r\n", answer.as_bytes());
        assert_eq!(answers(port, "/ready"), expected, "{answer}");
        server.join().unwrap();
    }

    #[track_caller]
    fn check_asked(answer: &'static [u8], expected: &[u8]) {
        let (port, server) = serve(b"?", answer);
        assert_eq!(ask(port, b"how are you?", b'\n').unwrap(), expected);
        server.join().unwrap();
    }

    #[test]
    fn an_answer_is_read_to_its_end() {
        check_asked(b"well\nand you", b"well\n");
        check_asked(b"well", b"well");
        check_asked(b"", b"");
    }

    #[test]
    fn only_an_answer_of_200_is_one() {
        check("HTTP/1.1 200 OK\r\n\r\n", true);
        check("HTTP/1.0 200 OK\r\n\r\nbody", true);
        check("HTTP/1.1 503 Service Unavailable\r\n\r\n", false);
        check("SSH-2.0\r\n", false);
        check("", false);
    }
}
