//! Who may reach an object without a signature.

use boards_storage_core::{
    AccessClass, CallOptions, Capability, ErrorKind, Result, SignedMethod, SignedRequest, UploadOptions,
};
use bytes::Bytes;
use jiff::Timestamp;

use super::case::{Case, refused};
use super::conformance_tests;
use super::need::Need::{Executor, Has};

conformance_tests! {
    "access" needs [] {
        access_can_be_set [Has(Capability::SetAccess)]
        access_can_be_given_with_an_upload [Has(Capability::SetAccess)]
        access_of_a_missing_object_is_not_found [Has(Capability::SetAccess)]
        a_public_url_is_a_url [Has(Capability::PublicUrl)]
        odd_keys_have_public_urls_of_their_own [Has(Capability::PublicUrl)]
        public_objects_are_open_and_private_ones_are_not [Has(Capability::PublicUrl), Has(Capability::SetAccess), Executor]
    }
}

async fn access_can_be_set(case: Case) -> Result<()> {
    case.put_with("a", "x", &case.options_of("one")).await?;
    for access in AccessClass::ALL {
        case.provider
            .set_access(&case.key("a"), access, &CallOptions::default())
            .await?;
    }
    case.assert_holds("a", b"x").await?;
    assert_eq!(case.head("a").await?.attributes, case.attributes("one"));
    Ok(())
}

async fn access_can_be_given_with_an_upload(case: Case) -> Result<()> {
    for access in AccessClass::ALL {
        case.put_with("a", "x", &UploadOptions::default().with_access(access))
            .await?;
        case.assert_holds("a", b"x").await?;
    }
    Ok(())
}

async fn access_of_a_missing_object_is_not_found(case: Case) -> Result<()> {
    let outcome = case
        .provider
        .set_access(&case.key("a"), AccessClass::Public, &CallOptions::default())
        .await;
    refused(outcome, ErrorKind::NotFound);
    Ok(())
}

async fn public_url(case: &Case, name: &str) -> Result<String> {
    case.provider
        .public_url(&case.key(name), &CallOptions::default())
        .await
}

async fn a_public_url_is_a_url(case: Case) -> Result<()> {
    // Whether the object exists is not looked at.
    let before = public_url(&case, "a").await?;
    case.put("a", "x").await?;
    let after = public_url(&case, "a").await?;
    assert_eq!(before, after);
    assert!(
        url::Url::parse(&after).is_ok_and(|url| url.path().ends_with("/a") && url.query().is_none()),
        "{after}"
    );
    Ok(())
}

async fn odd_keys_have_public_urls_of_their_own(case: Case) -> Result<()> {
    let names = [
        "a b", "a+b", "a%20b", "a?b", "a#b", "a&b", "ü", "%C3%BC", "%2e%2e",
    ];
    let mut paths = std::collections::BTreeSet::new();
    for name in names.into_iter().filter(|name| case.can_hold(name)) {
        let text = public_url(&case, name).await?;
        let url = url::Url::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(
            url.fragment().is_none() && url.query().is_none(),
            "{text} is all path"
        );
        assert!(paths.insert(url.path().to_owned()), "{text} is another key's");
    }
    Ok(())
}

async fn public_objects_are_open_and_private_ones_are_not(case: Case) -> Result<()> {
    let executor = case.executor();
    for name in ["a", "b c+d%41"].into_iter().filter(|name| case.can_hold(name)) {
        case.put(name, "open").await?;
        let plain = SignedRequest::new(SignedMethod::Get, public_url(&case, name).await?, Timestamp::MAX);
        for (access, is_open) in [
            (AccessClass::Private, false),
            (AccessClass::Public, true),
            (AccessClass::Private, false),
        ] {
            case.provider
                .set_access(&case.key(name), access, &CallOptions::default())
                .await?;
            let response = executor.send(&plain, Bytes::new()).await?;
            assert_eq!(
                response.is_success(),
                is_open,
                "{access} answers {}",
                response.status
            );
            assert_eq!(response.body == "open", is_open);
        }
    }
    Ok(())
}
