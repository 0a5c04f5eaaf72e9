//! ClamAV's daemon with a signature file of our own, which knows one thing: the test file of EICAR.
//!
//! Real signatures are hundreds of megabytes, change each day, and would prove nothing more about us.

use std::fmt::Write as _;

use anyhow::{Result, bail};

use super::place::{Place, free_ports};
use super::{Ending, Found, Service, Weight, probe};
use crate::{install, process};

pub(super) const SERVICE: Service = Service {
    name: "clamd",
    tests: "ClamAV",
    prefix: "BOARDS_STORAGE_TEST_CLAMD__",
    decisive: "ADDRESS",
    weight: Weight::Light,
    install: |_| install::program("clamd", "clamav-daemon"),
    start,
    ending: Ending::Asked,
    restart: None,
    unproven: &[],
};

/// The harmless file that every scanner reports, in two parts, so that none reports this one.
const EICAR: [&str; 2] = [
    r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD",
    "-ANTIVIRUS-TEST-FILE!$H+H*",
];

/// What the daemon calls it. It adds that the signature is not one of ClamAV's.
const SIGNATURE: &str = "Boards.Test.Eicar";

fn start(place: &mut Place) -> Result<Found> {
    let [port] = free_ports()?;
    let eicar = EICAR.concat();
    let signatures = place.make("signatures")?;
    place.write("signatures/test.ndb", &signature_file(eicar.as_bytes()))?;
    let scratch = place.make("scratch")?;
    let settings = format!(
        "DatabaseDirectory {}
TCPAddr 127.0.0.1
TCPSocket {port}
TemporaryDirectory {}
Foreground yes
StreamMaxLength 100M
MaxThreads 4
SelfCheck 0
OfficialDatabaseOnly no
",
        signatures.display(),
        scratch.display()
    );
    let settings = place.write("clamd.conf", &settings)?;
    place.spawn("clamd", process::command("clamd", &["-c"]).arg(settings))?;
    let scan = |bytes: &[u8]| {
        let answer = probe::ask(port, &instream(bytes), 0)?;
        verdict(&answer)
    };
    probe::wait_until(place, "it answers", || scan(b"a clean text").is_ok())?;
    match (scan(eicar.as_bytes())?, scan(b"a clean text")?) {
        (Verdict::Found(name), Verdict::Clean) if name.starts_with(SIGNATURE) => {}
        verdicts => bail!("expected {SIGNATURE} found in EICAR's file and a clean text, got {verdicts:?}"),
    }
    Ok(vec![("ADDRESS", format!("127.0.0.1:{port}"))])
}

/// A file of signatures that finds `bytes` anywhere in a file of any type: `name:type:offset:hex`.
fn signature_file(bytes: &[u8]) -> String {
    let mut line = format!("{SIGNATURE}:0:*:");
    for byte in bytes {
        write!(line, "{byte:02x}").expect("writing to a string cannot fail");
    }
    line.push('\n');
    line
}

/// The command that scans `bytes`: chunks with their length before them, and an empty one at last.
fn instream(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("the probes are short");
    [b"zINSTREAM\0", &length.to_be_bytes()[..], bytes, &[0; 4]].concat()
}

/// What the daemon says of a stream.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Clean,
    Found(String),
}

/// Reads `stream: OK` and `stream: NAME FOUND`; another answer is an error.
fn verdict(answer: &[u8]) -> Result<Verdict> {
    let text = String::from_utf8_lossy(answer);
    match text
        .strip_suffix('\0')
        .and_then(|line| line.strip_prefix("stream: "))
    {
        Some("OK") => Ok(Verdict::Clean),
        Some(said) if said.ends_with(" FOUND") => {
            Ok(Verdict::Found(said.trim_end_matches(" FOUND").to_owned()))
        }
        _ => bail!("expected a verdict of a stream, got {text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{SIGNATURE, Verdict, instream, signature_file, verdict};

    #[test]
    fn verdicts_are_read_and_nothing_else_is_one() {
        let found = Verdict::Found("Boards.Test.Eicar.UNOFFICIAL".to_owned());
        assert_eq!(
            verdict(b"stream: Boards.Test.Eicar.UNOFFICIAL FOUND\0").unwrap(),
            found
        );
        assert_eq!(verdict(b"stream: OK\0").unwrap(), Verdict::Clean);
        for answer in [
            &b"INSTREAM size limit exceeded. ERROR\0"[..],
            b"stream: Can't allocate memory ERROR\0",
            b"UNKNOWN COMMAND\0",
            b"stream: OK",
            b"",
        ] {
            assert!(verdict(answer).is_err(), "{answer:?}");
        }
    }

    #[test]
    fn a_stream_is_one_chunk_and_its_end() {
        assert_eq!(instream(b"ab"), b"zINSTREAM\0\0\0\0\x02ab\0\0\0\0");
    }

    #[test]
    fn a_signature_is_in_hexadecimal() {
        assert_eq!(signature_file(b"X5O!"), format!("{SIGNATURE}:0:*:58354f21\n"));
    }
}
