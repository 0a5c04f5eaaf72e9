//! Preconditions as they go over the wire: the emulator at hand decides those of single uploads alone.

use boards_storage_core::{
    CompleteUploadOptions, CopyOptions, DeleteOptions, DeleteOutcome, ETag, ErrorKind, MultipartUpload,
    ObjectAttributes, Part, PartRules, Precondition, Result, SetMetadataOptions, StorageProvider,
    UploadOptions,
};
use serde_json::json;

use crate::server::{Answer, GENERATION, Server, answer, key, object, refusal, resource};

fn if_match() -> Precondition {
    Precondition::IfMatch(ETag::new(format!("{GENERATION}-2")))
}

fn both() -> [(Precondition, Vec<String>, ErrorKind); 2] {
    [
        (
            Precondition::IfAbsent,
            vec!["ifGenerationMatch=0".to_owned()],
            ErrorKind::AlreadyExists,
        ),
        (
            if_match(),
            vec![
                format!("ifGenerationMatch={GENERATION}"),
                "ifMetagenerationMatch=2".to_owned(),
            ],
            ErrorKind::PreconditionFailed,
        ),
    ]
}

/// Checks a write under both preconditions, kept and refused. `before` is asked for first, each time.
async fn check<T, F>(before: &[(&'static str, Answer)], line: &'static str, done: Answer, run: F)
where
    F: AsyncFn(Server, Precondition) -> Result<T>,
{
    for (precondition, parameters, kind) in both() {
        let script = |last: Answer| before.iter().cloned().chain([(line, last)]);
        let server = Server::start(script(done.clone())).await;
        // What is tidied up afterwards is not in the script.
        run(server.clone(), precondition.clone())
            .await
            .expect("it was decided");
        let parameters: Vec<_> = parameters.iter().map(String::as_str).collect();
        let asked = server.asked();
        let write = asked
            .iter()
            .find(|asked| asked.line.contains(line))
            .expect("asked for");
        write.has(&parameters);
        let server = Server::start(script(refusal(412, "conditionNotMet"))).await;
        let error = run(server, precondition).await.err().expect("refused");
        assert_eq!((error.kind(), error.status()), (kind, Some(412)), "{error}");
    }
}

#[tokio::test]
async fn uploads_say_their_generation() {
    let run = async |server: Server, precondition| {
        let options = UploadOptions::default().with_precondition(precondition);
        server
            .plain()
            .await
            .upload(&key("a"), "hello".into(), &options)
            .await
    };
    check(&[], "uploadType=multipart", object("hello"), run).await;
}

#[tokio::test]
async fn sessions_say_it_when_they_begin() {
    let run = async |server: Server, precondition| {
        let provider = server
            .provider(|mut settings| {
                settings.resumable_threshold = boards_storage_core::ByteSize::from_bytes(1);
                settings
            })
            .await;
        let options = UploadOptions::default().with_precondition(precondition);
        provider.upload(&key("a"), "hello".into(), &options).await
    };
    let begun = answer(200, "").with("location", "{url}/session?upload_id=1");
    for (precondition, parameters, kind) in both() {
        let script = [
            ("uploadType=resumable", begun.clone()),
            ("PUT /session", object("hello")),
        ];
        let server = Server::start(script).await;
        run(server.clone(), precondition.clone())
            .await
            .expect("it was decided");
        let parameters: Vec<_> = parameters.iter().map(String::as_str).collect();
        server.asked()[0].has(&parameters);
        // The store may decide when the session begins, or when it ends.
        let at_once = vec![("uploadType=resumable", refusal(412, "conditionNotMet"))];
        let at_last = vec![
            ("uploadType=resumable", begun.clone()),
            ("PUT /session", refusal(412, "conditionNotMet")),
            ("DELETE /session", answer(499, "")),
        ];
        for script in [at_once, at_last] {
            let server = Server::start(script).await;
            let error = run(server, precondition.clone()).await.expect_err("refused");
            assert_eq!(error.kind(), kind);
        }
    }
}

#[tokio::test]
async fn copies_say_the_generations_of_both_sides() {
    let run = async |server: Server, precondition| {
        let options = CopyOptions::default().with_precondition(precondition);
        server.plain().await.copy(&key("a"), &key("to"), &options).await
    };
    let done = format!(r#"{{"done":true,"resource":{}}}"#, resource("hello", 9));
    let look = ("GET /storage/v1/b/media/o/a", object("hello"));
    check(&[look], "rewriteTo", answer(200, done), run).await;
}

#[tokio::test]
async fn a_source_in_another_state_is_not_copied() {
    let server = Server::start([("GET", object("hello"))]).await;
    let options = CopyOptions::default().with_source_if_match(ETag::new("9-1"));
    let outcome = server.plain().await.copy(&key("a"), &key("to"), &options).await;
    assert_eq!(
        outcome.expect_err("refused").kind(),
        ErrorKind::PreconditionFailed
    );
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn deletions_say_their_generation() {
    let options = DeleteOptions::default().with_precondition(if_match());
    let delete = async |answer: Answer| {
        let server = Server::start([("DELETE /storage/v1/b/media/o/a", answer)]).await;
        let outcome = server.plain().await.delete(&key("a"), &options).await;
        server.asked()[0].has(&[
            &format!("ifGenerationMatch={GENERATION}"),
            "ifMetagenerationMatch=2",
        ]);
        outcome.map_err(|error| error.kind())
    };
    assert_eq!(delete(answer(204, "")).await, Ok(DeleteOutcome::Existed));
    let refused = Err(ErrorKind::PreconditionFailed);
    assert_eq!(delete(refusal(412, "conditionNotMet")).await, refused);
    assert_eq!(delete(refusal(404, "notFound")).await, refused);
}

#[tokio::test]
async fn a_state_that_cannot_be_is_not_asked_for() {
    let server = Server::start([]).await;
    let provider = server.plain().await;
    let nonsense = Precondition::IfMatch(ETag::new("nonsense"));
    let options = DeleteOptions::default().with_precondition(nonsense.clone());
    let deleted = provider.delete(&key("a"), &options).await;
    assert_eq!(
        deleted.expect_err("refused").kind(),
        ErrorKind::PreconditionFailed
    );
    let options = UploadOptions::default().with_precondition(nonsense);
    let stored = provider.upload(&key("a"), "x".into(), &options).await;
    assert_eq!(stored.expect_err("refused").kind(), ErrorKind::PreconditionFailed);
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn attributes_are_changed_in_the_state_that_was_looked_at() {
    let attributes = ObjectAttributes::default()
        .with_cache_control("no-cache")
        .with_user_metadata("new", "1");
    let set = async |server: &Server, precondition| {
        let options = SetMetadataOptions::default().with_precondition(precondition);
        server
            .plain()
            .await
            .set_metadata(&key("a"), &attributes, &options)
            .await
    };
    // Another was faster: it is looked at again.
    let script = [
        ("GET", object("hello")),
        ("PATCH", refusal(412, "conditionNotMet")),
        ("GET", answer(200, resource("hello", 9))),
        ("PATCH", answer(200, resource("hello", 9))),
    ];
    let server = Server::start(script).await;
    set(&server, Precondition::None).await.expect("changed");
    let asked = server.asked();
    asked[1].has(&[
        &format!("ifGenerationMatch={GENERATION}"),
        "ifMetagenerationMatch=2",
    ]);
    asked[3].has(&["ifGenerationMatch=9", "ifMetagenerationMatch=2"]);
    let expected = json!({
        "contentType": "binary/octet-stream",
        "contentDisposition": null,
        "contentEncoding": null,
        "contentLanguage": null,
        "cacheControl": "no-cache",
        "metadata": { "a": null, "new": "1" },
    });
    assert_eq!(asked[1].json(), expected);
    // Under a precondition that is the end.
    let script = [
        ("GET", object("hello")),
        ("PATCH", refusal(412, "conditionNotMet")),
        ("GET", answer(200, resource("hello", 9))),
    ];
    let server = Server::start(script).await;
    let error = set(&server, if_match()).await.expect_err("changed since");
    assert_eq!(error.kind(), ErrorKind::PreconditionFailed);
    let server = Server::start([("GET", refusal(404, "notFound"))]).await;
    let error = set(&server, if_match()).await.expect_err("nothing there");
    assert_eq!(error.kind(), ErrorKind::PreconditionFailed);
}

#[tokio::test]
async fn completions_say_their_generation_and_those_of_the_parts() {
    let id = "0123456789abcdef0123456789abcdef";
    let run = async |server: Server, precondition| {
        let upload = MultipartUpload::new(key("a"), id, PartRules::any());
        let mut part = Part::new(1, 5);
        part.etag = Some(GENERATION.to_string());
        let options = CompleteUploadOptions::default().with_precondition(precondition);
        let outcome = server
            .plain()
            .await
            .complete_upload(&upload, &[part], &options)
            .await;
        if outcome.is_ok() {
            let asked = server.asked();
            let compose = asked
                .iter()
                .find(|asked| asked.line.contains("/compose"))
                .expect("asked for");
            let body = compose.json();
            assert_eq!(body["sourceObjects"][0]["generation"], GENERATION.to_string());
            assert_eq!(body["destination"]["contentType"], "text/plain");
            assert_eq!(body["destination"]["metadata"], json!({ "a": "ü" }));
        }
        outcome
    };
    let hash = "ca978112ca1bbdca";
    let part = resource("hello", GENERATION).replace(
        r#""name":"a""#,
        &format!(r#""name":".boards-storage/uploads/{id}-{hash}/part-00001""#),
    );
    let before = [
        (
            "GET /storage/v1/b/media/o/.boards-storage%2Fuploads",
            object("hello"),
        ),
        (
            "GET /storage/v1/b/media/o?",
            answer(200, format!(r#"{{"items":[{part}]}}"#)),
        ),
    ];
    check(&before, "/o/a/compose", object("hello"), run).await;
}
