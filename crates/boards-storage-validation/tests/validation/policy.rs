//! What the settings change.

use boards_storage_core::{
    ArtifactType, ByteSize, ContentTypePattern, ContentVerdict, ReasonKind, TypeSettings, ValidationSettings,
};
use boards_storage_testkit::samples::{gif, pickle, png, png_sized, zip};

use crate::support::{inspector, judge, judge_bytes, known};

async fn refusal(
    settings: &ValidationSettings,
    artifact_type: ArtifactType,
    content_type: &str,
    file_name: &str,
    bytes: &[u8],
) -> Option<ReasonKind> {
    let inspector = inspector(settings);
    let known = known(artifact_type, content_type, file_name);
    let whole = judge_bytes(&inspector, &known, bytes).await;
    let streamed = judge(&inspector, &known, bytes, 3).await;
    let kind = |verdict: &ContentVerdict| verdict.reason().map(|reason| reason.kind);
    assert_eq!(kind(&whole.verdict), kind(&streamed.verdict));
    kind(&whole.verdict)
}

#[tokio::test]
async fn pickles_pass_where_they_are_allowed() {
    let allowed = ValidationSettings::default().with_pickle_allowed();
    let torch = zip(&[("archive/data.pkl", &pickle())]);
    for (file_name, bytes) in [("a.pkl", pickle()), ("a.pt", torch), ("a.ckpt", pickle())] {
        let model = ArtifactType::Model;
        assert_eq!(
            refusal(&allowed, model.clone(), "", file_name, &bytes).await,
            None,
            "{file_name}"
        );
        let default = ValidationSettings::default();
        assert_eq!(
            refusal(&default, model, "", file_name, &bytes).await,
            Some(ReasonKind::Pickle),
            "{file_name}"
        );
    }
}

#[tokio::test]
async fn a_size_limit_holds_at_its_edge() {
    let length = png().len() as u64;
    for (max, expected) in [(length, None), (length - 1, Some(ReasonKind::TooLarge))] {
        let limit = TypeSettings::default().with_size_max(ByteSize::from_bytes(max));
        let settings = ValidationSettings::default().with_type(&ArtifactType::Image, limit);
        assert_eq!(
            refusal(&settings, ArtifactType::Image, "image/png", "a.png", &png()).await,
            expected
        );
        assert_eq!(
            refusal(
                &settings,
                ArtifactType::Intermediate,
                "image/png",
                "a.png",
                &png()
            )
            .await,
            None
        );
    }
}

#[tokio::test]
async fn extensions_and_types_can_be_listed() {
    let listed = TypeSettings::default()
        .with_extensions(["png"])
        .with_content_types([ContentTypePattern::parse("image/png").expect("valid")]);
    let settings = ValidationSettings::default().with_type(&ArtifactType::Image, listed);
    let image = ArtifactType::Image;
    assert_eq!(
        refusal(&settings, image.clone(), "image/png", "a.PNG", &png()).await,
        None
    );
    for (content_type, file_name, bytes) in [
        ("image/png", "a.apng", png()),
        ("image/png", "a", png()),
        ("image/gif", "a.gif", gif()),
        ("", "a.png", png()),
    ] {
        let found = refusal(&settings, image.clone(), content_type, file_name, &bytes).await;
        assert_eq!(
            found,
            Some(ReasonKind::TypeNotAllowed),
            "{content_type} {file_name}"
        );
    }
}

#[tokio::test]
async fn the_limits_of_images_hold_at_their_edges() {
    let mut settings = ValidationSettings::default();
    settings.image.width_max = 100;
    settings.image.height_max = 50;
    settings.image.pixels_max = 4_000;
    for (width, height, expected) in [
        (100, 40, None),
        (80, 50, None),
        (101, 1, Some(ReasonKind::TooManyPixels)),
        (1, 51, Some(ReasonKind::TooManyPixels)),
        (100, 41, Some(ReasonKind::TooManyPixels)),
    ] {
        let bytes = png_sized(width, height);
        let found = refusal(&settings, ArtifactType::Image, "image/png", "a.png", &bytes).await;
        assert_eq!(found, expected, "{width} × {height}");
    }
}
