//! Sends every recorded request, renamed, and compares the answers.

use std::collections::{BTreeMap, HashMap};

use boards_storage_testkit::{
    SupabaseBackend, SupabaseDouble, SupabaseFault, SupabaseLocation, SupabaseOptions,
};

use crate::client::{Answer, send};
use crate::compare::difference;
use crate::recording::{self, Exchange, rename, rename_body, rename_upload_id, rename_upload_metadata};
use crate::seeds;

/// Recorded exchanges that are not replayed, and why. A name that ends with `*` stands for all that begin so.
const NOT_REPLAYED: &[(&str, &str)] = &[
    (
        "s3.*",
        "the S3 protocol endpoint (XML, Signature V4) is another server: the provider never speaks it",
    ),
    (
        "list.sort_name_desc",
        "the old listing loses a folder in descending order, which nothing here asks for",
    ),
];

fn reason_not_replayed(name: &str) -> Option<&'static str> {
    let fits = |pattern: &str| match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    };
    NOT_REPLAYED
        .iter()
        .find(|(pattern, _)| fits(pattern))
        .map(|(_, reason)| *reason)
}

fn fault_of(name: &str) -> SupabaseFault {
    let faults = [
        ("fail.db_readonly.", SupabaseFault::DatabaseReadOnly),
        ("fail.db_locked.", SupabaseFault::DatabaseTimeout),
        ("fail.db_down.", SupabaseFault::DatabaseDown),
        ("fail.db_hangs.", SupabaseFault::DatabaseTimeout),
        ("fail.db_too_many_connections.", SupabaseFault::DatabaseBusy),
        ("fail.s3_down.", SupabaseFault::BackendDown),
    ];
    faults
        .iter()
        .find(|(prefix, _)| name.starts_with(prefix))
        .map_or(SupabaseFault::None, |(_, fault)| *fault)
}

/// Replays into one double, and remembers what the double calls things.
pub(crate) struct Replay {
    pub(crate) double: SupabaseDouble,
    /// Ids and cursors, as recorded and as the double gave them.
    pub(crate) known: HashMap<String, String>,
    /// Connections of requests that never end.
    pub(crate) open: Vec<tokio::net::TcpStream>,
    second: i64,
}

impl Replay {
    async fn start(options: SupabaseOptions) -> Self {
        let options = options
            .with_gateway(false)
            .with_user_bucket(rename("media-private"));
        Self {
            double: SupabaseDouble::start(options).await.expect("a free port"),
            known: HashMap::new(),
            open: Vec::new(),
            second: 0,
        }
    }

    /// Sets the server's clock to the recorded time, so that recorded tokens are as old as they were.
    fn set_time(&mut self, exchange: &Exchange) {
        let Some(date) = exchange.response.header("date") else {
            return;
        };
        let time = jiff::fmt::rfc2822::parse(date).expect("a date").timestamp();
        if time.as_second() > self.second {
            self.second = time.as_second();
            self.double.set_time(time);
        }
    }

    async fn answer(&mut self, exchange: &Exchange) -> Result<Answer, String> {
        let request = &exchange.request;
        let is_client = exchange.suite.starts_with("client_");
        let path = if is_client {
            self.path_behind_gateway(&request.path)
        } else {
            request.path.clone()
        };
        let path = match path.split_once("/upload/resumable/") {
            Some((before, rest)) => {
                let (sign, id) = rest.strip_prefix("sign/").map_or(("", rest), |id| ("sign/", id));
                let id = self
                    .known
                    .get(id)
                    .cloned()
                    .unwrap_or_else(|| rename_upload_id(id));
                format!("{before}/upload/resumable/{sign}{id}")
            }
            None => rename(&path),
        };
        let mut body = rename_body(request.body());
        let mut headers = request.headers.clone();
        for (name, value) in &mut headers {
            *value = if name.eq_ignore_ascii_case("upload-metadata") {
                rename_upload_metadata(value)
            } else {
                rename(value)
            };
        }
        if is_client {
            headers.insert("x-forwarded-prefix".to_owned(), "/storage/v1".to_owned());
        }
        if let Ok(text) = std::str::from_utf8(&body) {
            let cursor = self
                .known
                .iter()
                .find(|(recorded, _)| text.contains(recorded.as_str()));
            if let Some((recorded, actual)) = cursor {
                body = text.replace(recorded, actual).into_bytes();
            }
        }
        self.double.set_fault(fault_of(&exchange.name));
        let answer = send(self.double.address(), &request.method, &path, &headers, body).await;
        self.double.set_fault(SupabaseFault::None);
        answer
    }

    fn path_behind_gateway(&self, path: &str) -> String {
        path.strip_prefix("/storage/v1").unwrap_or(path).to_owned()
    }

    /// Notes which of the double's ids stands for which recorded one.
    fn learn(&mut self, exchange: &Exchange, answer: &Answer) {
        let last = |location: &str| location.rsplit('/').next().unwrap_or_default().to_owned();
        let actual = answer.headers.iter().find(|(name, _)| name == "location");
        if let (Some(recorded), Some((_, actual))) = (exchange.response.header("location"), actual) {
            self.known.insert(last(recorded), last(actual));
        }
        let cursor = |body: &[u8]| {
            let value: serde_json::Value = serde_json::from_slice(body).ok()?;
            value["nextCursor"].as_str().map(str::to_owned)
        };
        if let (Some(recorded), Some(actual)) = (cursor(&exchange.response.body()), cursor(&answer.body)) {
            self.known.insert(recorded, actual);
        }
    }

    async fn check(&mut self, exchange: &Exchange) -> Option<String> {
        self.set_time(exchange);
        seeds::before(self, exchange).await;
        match self.answer(exchange).await {
            Ok(answer) => {
                self.learn(exchange, &answer);
                difference(exchange, &answer)
            }
            Err(problem) => Some(format!("no answer: {problem}")),
        }
    }
}

/// Replays all exchanges of one kind, and says what differed and what was not replayed.
#[expect(clippy::print_stdout, reason = "the counts are part of the test's report")]
async fn replay(backend: &str, is_production: bool) {
    let options = SupabaseOptions::default().with_backend(match backend {
        "file" => SupabaseBackend::File,
        _ => SupabaseBackend::S3,
    });
    let options = if is_production {
        options
            .with_location(SupabaseLocation::Https)
            .with_hard_limits(true)
    } else {
        options
    };
    let mut replay = Replay::start(options).await;
    let (mut count, mut wrong) = (0, Vec::new());
    let mut left_out: BTreeMap<&str, usize> = BTreeMap::new();
    for exchange in recording::all() {
        if exchange.backend != backend || (exchange.suite == "production_mode") != is_production {
            continue;
        }
        if let Some(reason) = reason_not_replayed(&exchange.name) {
            *left_out.entry(reason).or_default() += 1;
            continue;
        }
        count += 1;
        if let Some(difference) = replay.check(&exchange).await {
            wrong.push(format!("{}\n      {difference}", exchange.name));
        }
    }
    println!("{backend}: {count} exchanges replayed, {} differ", wrong.len());
    for (reason, count) in &left_out {
        println!("{backend}: {count} not replayed: {reason}");
    }
    assert!(count > 0, "nothing was replayed");
    assert!(
        wrong.is_empty(),
        "{} of {count} differ:\n  {}",
        wrong.len(),
        wrong.join("\n  ")
    );
}

#[tokio::test]
async fn the_s3_backend_answers_as_recorded() {
    replay("s3", false).await;
}

#[tokio::test]
async fn the_file_backend_answers_as_recorded() {
    replay("file", false).await;
}

#[tokio::test]
async fn production_mode_answers_as_recorded() {
    replay("file", true).await;
}

#[test]
fn every_recording_is_replayed_or_listed() {
    let all = recording::all();
    assert_eq!(all.len(), 1_832);
    let left_out = all
        .iter()
        .filter(|exchange| reason_not_replayed(&exchange.name).is_some());
    let left_out = left_out.count();
    println!(
        "{} of {} exchanges are replayed, {left_out} are listed with a reason",
        all.len() - left_out,
        all.len()
    );
    for (pattern, _) in NOT_REPLAYED {
        let prefix = pattern.trim_end_matches('*');
        assert!(
            all.iter().any(|exchange| exchange.name.starts_with(prefix)),
            "{pattern} names nothing"
        );
    }
}
