//! POST policies: signed forms by which a browser stores an object.
//!
//! A policy is JSON in Base64 that lists what each field of the form must be; the text is what is signed. A field that
//! the policy does not name is refused by the store.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use boards_storage_core::{
    ContentType, Error, Precondition, PresignUploadOptions, Result, SignedMethod, SignedRequest, StorageKey,
};
use serde_json::{Value, json};

use crate::client::Client;
use crate::encoding::hex;
use crate::presign::{ALGORITHM, Life, custom_headers, header_name, length_range, signer};
use crate::resource::header_fields;

/// Signs a form for one key.
pub(crate) async fn post_request(
    client: &Client,
    key: &StorageKey,
    options: &PresignUploadOptions,
    life: Life,
) -> Result<SignedRequest> {
    if options.precondition != Precondition::None {
        return Err(Error::unsupported("a form cannot carry a precondition").with_help("sign a PUT"));
    }
    if options.checksum.is_some() {
        return Err(Error::unsupported("a form cannot bind the checksum of its file").with_help("sign a PUT"));
    }
    let range = length_range(options.length, options.length_max)?;
    let form = Form {
        bucket: client.settings().bucket.clone(),
        key: client.full(key),
        conditions: range
            .into_iter()
            .map(|(least, greatest)| json!(["content-length-range", least, greatest]))
            .collect(),
        fields: fields(client, options),
        life,
    };
    form.sign(client, &client.plain_url("")).await
}

/// The fields that say what the object is to be.
fn fields(client: &Client, options: &PresignUploadOptions) -> Vec<(String, String)> {
    let settings = client.settings();
    let content_type = options.attributes.content_type.as_ref().map(ContentType::as_str);
    let mut fields = Vec::new();
    let mut add = |name: &str, value: Option<&str>| {
        fields.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    };
    add("content-type", content_type);
    for (name, value) in header_fields(&options.attributes) {
        add(header_name(name), value.map(String::as_str));
    }
    add("x-goog-storage-class", settings.storage_class.as_deref());
    add("x-goog-encryption-kms-key-name", settings.kms_key_name.as_deref());
    fields.extend(custom_headers(options));
    fields
}

/// What is signed.
#[derive(Debug)]
struct Form {
    bucket: String,
    key: String,
    /// Conditions that are no fields.
    conditions: Vec<Value>,
    fields: Vec<(String, String)>,
    life: Life,
}

impl Form {
    /// Returns the form, with all fields that the client must send before the file.
    async fn sign(self, client: &Client, url: &str) -> Result<SignedRequest> {
        let signer = signer(client)?;
        let life = self.life;
        let credential = format!("{}/{}", signer.email().await?, life.scope());
        let own = [
            ("key", self.key),
            ("x-goog-date", life.date()),
            ("x-goog-credential", credential),
            ("x-goog-algorithm", ALGORITHM.to_owned()),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value));
        let condition = |(name, value): &(String, String)| json!({ name: value });
        let mut conditions = self.conditions;
        conditions.extend(self.fields.iter().map(condition));
        conditions.push(json!({ "bucket": self.bucket }));
        conditions.extend(own.iter().map(condition));
        let policy = policy_text(life, &conditions);
        let signature = signer.sign(&policy, client.identity(), client.http()).await?;
        let last = [("policy", policy), ("x-goog-signature", hex(&signature))];
        let last = last.map(|(name, value)| (name.to_owned(), value));
        let request = SignedRequest::new(SignedMethod::Post, url, life.ends());
        let all = own.into_iter().chain(self.fields).chain(last);
        Ok(all.fold(request, |request, (name, value)| {
            request.with_form_field(name, value)
        }))
    }
}

/// Returns the policy in Base64. Everything but ASCII is escaped in it.
fn policy_text(life: Life, conditions: &[Value]) -> String {
    let conditions = Value::from(conditions.to_vec());
    let expiration = life.ends().strftime("%Y-%m-%dT%H:%M:%SZ");
    let plain = format!(r#"{{"conditions":{conditions},"expiration":"{expiration}"}}"#);
    let mut escaped = String::with_capacity(plain.len());
    for c in plain.chars() {
        if c.is_ascii() {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(escaped, "\\u{unit:04x}").expect("a string takes everything");
            }
        }
    }
    BASE64.encode(escaped)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use boards_storage_core::Secret;

    use super::*;
    use crate::settings::{GcsSettings, SignerChoice};

    /// Google's own vectors; see the licence beside them.
    const VECTORS: &str = include_str!("../tests/fixtures/v4_signatures.json");
    const KEY: &str = include_str!("../tests/fixtures/test_service_account.not-a-test.json");

    fn form(input: &Value) -> Form {
        let text = |name: &str| input[name].as_str().unwrap_or_default().to_owned();
        let mut conditions = Vec::new();
        if let Some([name, value]) = input["conditions"]["startsWith"].as_array().map(Vec::as_slice) {
            conditions.push(json!(["starts-with", name, value]));
        }
        if let Some([least, greatest]) = input["conditions"]["contentLengthRange"]
            .as_array()
            .map(Vec::as_slice)
        {
            conditions.push(json!(["content-length-range", least, greatest]));
        }
        let fields = input["fields"].as_object().into_iter().flatten();
        let fields =
            fields.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
        Form {
            bucket: text("bucket"),
            key: text("object"),
            conditions,
            fields: fields.collect(),
            life: Life {
                begins: text("timestamp").parse().expect("a time"),
                lasts: Duration::from_secs(input["expiration"].as_u64().expect("a number")),
            },
        }
    }

    #[tokio::test]
    async fn forms_are_those_of_googles_vectors() {
        let settings = GcsSettings::new("media")
            .with_endpoint("http://127.0.0.1:9")
            .with_signer(SignerChoice::Key {
                json: Secret::new(KEY),
            });
        let client = Client::open(settings).await.expect("it opens");
        let vectors: Value = serde_json::from_str(VECTORS).expect("JSON");
        let vectors = vectors["postPolicyV4Tests"].as_array().expect("a list");
        assert!(vectors.len() >= 10, "{} vectors", vectors.len());
        for vector in vectors {
            let signed = form(&vector["policyInput"])
                .sign(&client, "https://h/")
                .await
                .expect("signed");
            let expected = vector["policyOutput"]["fields"].as_object().expect("a map");
            let found: BTreeMap<_, _> = signed.form_fields.iter().cloned().collect();
            assert_eq!(found.len(), expected.len(), "{}", vector["description"]);
            for (name, value) in expected {
                assert_eq!(
                    Some(found[name].as_str()),
                    value.as_str(),
                    "{}: {name}",
                    vector["description"]
                );
            }
        }
    }
}
