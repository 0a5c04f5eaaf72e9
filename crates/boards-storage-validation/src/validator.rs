//! The validator: one policy, made of what the other files check.

use std::sync::Arc;

use boards_storage_core::{
    ArtifactType, ContentCheck, ContentFacts, ContentType, ContentVerdict, Findings, Reason, ReasonKind,
    TypeSettings, Validation, ValidationSettings, Validator,
};

use crate::agree::{self, Named};
use crate::family::{Category, Family};
use crate::json::{self, JsonCheck, Values};
use crate::model::Safetensors;
use crate::polyglot::{Awaited, PolyglotWatch};
use crate::sniff::{self, Sniffed};
use crate::text::{self, Encoding, TextCheck};
use crate::walk::{Walk, malformed, truncated};
use crate::zip::{Pickles, ZipWatch};
use crate::{image, limits, markup, pickle};

/// Checks content against the policy of the settings.
///
/// What it promises:
/// - Declared type, extension and two sniffers (`infer`, `file-format`) agree, as far as each knows something. A missing
///   type or `application/octet-stream` says nothing, and neither does an unknown extension.
/// - An artifact of type `image` is an image, `video` and `audio` a container of media, `text` is text. `model`,
///   `dataset`, `intermediate` and types of the application's own may be anything that agrees with its names.
/// - Text is UTF-8, or UTF-16 with its mark, or in the charset that was declared; JSON parses, to a depth of 512.
/// - Images, media containers, ZIP, PDF, safetensors and GGUF have a sound structure and end where it ends. Images stay
///   below the limits by what their headers say; of TIFF only where its directory is in the first 64 KiB.
/// - Pickles, and ZIP files that hold one, are refused unless they are allowed.
///
/// Content is neither decoded nor unpacked. Memory is flat: 64 KiB of head, and the header of a safetensors file, which
/// may have 32 MiB.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{ArtifactType, Validation, ValidationSettings, Validator};
/// use boards_storage_validation::ContentValidator;
///
/// let validator = ContentValidator::new(&ValidationSettings::default());
/// let mut check = validator.start(&Validation::new(ArtifactType::Text).with_file_name("a.json"));
/// assert!(check.head(b"{\"a\": 1}", true).is_accepted());
/// assert!(check.update(b"{\"a\": 1}").is_accepted());
/// assert!(check.finish().verdict.is_accepted());
/// ```
#[derive(Clone, Debug)]
pub struct ContentValidator {
    settings: Arc<ValidationSettings>,
}

impl ContentValidator {
    /// Creates a validator with a policy. Whether it is `enabled` is not asked here.
    #[must_use]
    pub fn new(settings: &ValidationSettings) -> Self {
        Self {
            settings: Arc::new(settings.clone()),
        }
    }
}

impl Validator for ContentValidator {
    fn start(&self, validation: &Validation) -> Box<dyn ContentCheck> {
        let named = Named::of(validation);
        let type_settings = self.settings.types.get(validation.artifact_type.name());
        Box::new(Check {
            type_settings: type_settings.cloned().unwrap_or_default(),
            settings: Arc::clone(&self.settings),
            validation: validation.clone(),
            named,
            facts: ContentFacts::default(),
            size_bytes: 0,
            checks: None,
            refused: None,
        })
    }
}

/// One reading of content.
struct Check {
    settings: Arc<ValidationSettings>,
    type_settings: TypeSettings,
    validation: Validation,
    named: Named,
    facts: ContentFacts,
    size_bytes: u64,
    checks: Option<Checks>,
    refused: Option<ContentVerdict>,
}

impl ContentCheck for Check {
    fn head(&mut self, head: &[u8], is_whole: bool) -> ContentVerdict {
        let judged = self.judge_head(head, is_whole);
        self.conclude(judged)
    }

    fn update(&mut self, piece: &[u8]) -> ContentVerdict {
        if let Some(refused) = &self.refused {
            return refused.clone();
        }
        let judged = self.judge_piece(piece);
        self.conclude(judged)
    }

    fn finish(&mut self) -> Findings {
        if self.refused.is_none() {
            let judged = self
                .checks
                .as_ref()
                .map_or(Ok(()), |checks| checks.finish(self.size_bytes));
            self.conclude(judged);
        }
        let facts = ContentFacts::clone(&self.facts);
        let mut findings = Findings::new(self.refused.clone().unwrap_or(ContentVerdict::Accepted), facts);
        findings.facts.size_bytes = Some(self.size_bytes);
        findings
    }
}

impl Check {
    fn conclude(&mut self, judged: Result<(), Reason>) -> ContentVerdict {
        if let Err(reason) = judged
            && self.refused.is_none()
        {
            self.refused = Some(self.verdict(reason));
        }
        self.refused.clone().unwrap_or(ContentVerdict::Accepted)
    }

    /// What is too large, and what is a pickle, is kept nowhere.
    fn verdict(&self, reason: Reason) -> ContentVerdict {
        match reason.kind {
            ReasonKind::TooLarge
            | ReasonKind::TypeNotAllowed
            | ReasonKind::Pickle
            | ReasonKind::TooManyPixels
            | ReasonKind::TooManyFrames => ContentVerdict::Rejected { reason },
            _ => self.settings.on_mismatch.verdict(reason),
        }
    }

    fn judge_head(&mut self, head: &[u8], is_whole: bool) -> Result<(), Reason> {
        limits::check_declared(&self.type_settings, &self.validation)?;
        self.check_pickle_names()?;
        agree::names(&self.named, &self.validation)?;
        let sniffed = sniff::sniff(head);
        self.check_pickle_bytes(head, &sniffed)?;
        self.check_stored_name(&sniffed, head)?;
        let text = self.text_family(&sniffed);
        if head.is_empty() && is_whole {
            return self.judge_empty(text);
        }
        self.note_type(&sniffed, text);
        agree::bytes(&self.named, &sniffed)?;
        agree::artifact(
            &self.validation.artifact_type,
            &self.named,
            &sniffed,
            text.is_some(),
        )?;
        if let Some(family) = text {
            self.check_beginning(head, family)?;
        }
        let family = text.or(sniffed.family());
        // The head is judged by checks of its own, so that it is refused before anything flows.
        let mut facts = ContentFacts::default();
        let mut trial = self.checks_for(family, head);
        trial.update(head, &mut facts)?;
        image::check(&self.settings.image, &facts)?;
        if family.is_some_and(|family| family.category() == Category::Image) {
            image::measure(head, &mut self.facts);
            let needs_size = matches!(family, Some(Family::IsoImage | Family::Jxl));
            if needs_size && self.facts.width.is_none() {
                return Err(malformed("image", "its dimensions are not in its first 64 KiB"));
            }
            image::check(&self.settings.image, &self.facts)?;
        }
        if is_whole {
            trial.finish(head.len() as u64)?;
        }
        self.checks = Some(self.checks_for(family, head));
        Ok(())
    }

    fn judge_empty(&self, text: Option<Family>) -> Result<(), Reason> {
        let named = self.named.family();
        let artifact_is_media = matches!(
            self.validation.artifact_type,
            ArtifactType::Image | ArtifactType::Video | ArtifactType::Audio | ArtifactType::Model
        );
        let may_be_empty = match (text, named) {
            (Some(family), _) => matches!(family, Family::Text | Family::JsonLines | Family::Script),
            (None, Some(_)) => false,
            (None, None) => true,
        };
        if may_be_empty && !artifact_is_media {
            return Ok(());
        }
        let name = match text.or(named) {
            Some(family) => family.name(),
            None => self.validation.artifact_type.name(),
        };
        Err(malformed(name, "it is empty"))
    }

    fn check_pickle_names(&self) -> Result<(), Reason> {
        if self.settings.allow_pickle {
            return Ok(());
        }
        let names = [&self.validation.file_name, &self.validation.stored_name];
        if names
            .into_iter()
            .flatten()
            .any(|name| pickle::is_pickle_name(name))
        {
            return Err(pickle::refused("the file name is that of a pickle"));
        }
        if self.named.declared == Some(Family::Pickle) {
            return Err(pickle::refused("the content is declared as a pickle"));
        }
        Ok(())
    }

    /// Holds the content against the name that it is stored under, too, if it had another.
    fn check_stored_name(&self, sniffed: &Sniffed, head: &[u8]) -> Result<(), Reason> {
        if self.validation.file_name.is_none() || self.validation.stored_name.is_none() {
            return Ok(());
        }
        let mut stored = self.validation.clone();
        stored.file_name = None;
        let named = Named::of(&stored);
        agree::names(&named, &stored)?;
        if head.is_empty() {
            Ok(())
        } else {
            agree::bytes(&named, sniffed)
        }
    }

    fn check_pickle_bytes(&self, head: &[u8], sniffed: &Sniffed) -> Result<(), Reason> {
        if self.settings.allow_pickle {
            return Ok(());
        }
        let is_named_text = self.named.family().is_some_and(Family::is_text);
        if sniffed.family() == Some(Family::Pickle) || (!is_named_text && pickle::is_text_pickle(head)) {
            return Err(pickle::refused("the content is a pickle"));
        }
        Ok(())
    }

    /// As which text the content is checked; `None` if it need not be text.
    fn text_family(&self, sniffed: &Sniffed) -> Option<Family> {
        let by_extension = match self.named.by_extension.as_slice() {
            [one] if one.is_text() => Some(*one),
            _ => None,
        };
        match self.named.declared {
            // The extension may be more precise.
            Some(Family::Text) => Some(by_extension.unwrap_or(Family::Text)),
            Some(family) => family.is_text().then_some(family),
            None if by_extension.is_some() => by_extension,
            None => {
                let is_text = self.validation.artifact_type == ArtifactType::Text
                    && sniffed.families.is_empty()
                    && (self.named.by_extension.is_empty()
                        || self.named.by_extension.contains(&Family::Text));
                is_text.then_some(Family::Text)
            }
        }
    }

    fn note_type(&mut self, sniffed: &Sniffed, text: Option<Family>) {
        let found = sniffed.family();
        let essence = sniffed.content_type.as_deref().filter(|_| found.is_some());
        let essence = essence.or_else(|| found.or(text).map(Family::content_type));
        self.facts.content_type = essence.and_then(|essence| ContentType::parse(essence).ok());
    }

    fn check_beginning(&self, head: &[u8], family: Family) -> Result<(), Reason> {
        let beginning = markup::beginning(head);
        match family {
            Family::Xml | Family::Svg => markup::check_xml(&beginning, family == Family::Svg),
            Family::Html => Ok(()),
            _ if self.may_hold_markup() || !markup::is_page(&beginning) => Ok(()),
            _ => Err(Reason::new(
                ReasonKind::TypeMismatch,
                format!(
                    "the content is named {}, and is a page of HTML or SVG",
                    family.name()
                ),
            )),
        }
    }

    /// Text whose format allows HTML at its beginning.
    fn may_hold_markup(&self) -> bool {
        let essence = self
            .validation
            .content_type
            .as_ref()
            .map(|declared| declared.essence().to_ascii_lowercase());
        let extension = self.validation.extension();
        matches!(
            essence.as_deref(),
            Some("text/markdown" | "text/x-markdown" | "text/vue" | "text/x-vue")
        ) || matches!(
            extension.as_deref(),
            Some("md" | "markdown" | "vue" | "mdx" | "php" | "jsx" | "tsx")
        )
    }

    fn charset(&self) -> Option<String> {
        let declared = self.validation.content_type.as_ref()?;
        declared.as_str().split(';').skip(1).find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            let is_charset = name.trim().eq_ignore_ascii_case("charset");
            is_charset.then(|| value.trim().trim_matches('"').to_owned())
        })
    }

    fn checks_for(&self, family: Option<Family>, head: &[u8]) -> Checks {
        let mut checks = Checks::default();
        let Some(family) = family else { return checks };
        if family.is_text() {
            let named = || match family {
                Family::Xml | Family::Svg => markup::named_charset(&markup::beginning(head), false),
                Family::Html => markup::named_charset(&markup::beginning(head), true),
                _ => None,
            };
            let encoding = Encoding::choose(self.charset().or_else(named).as_deref(), head);
            checks.text = Some((TextCheck::new(encoding), family));
            let values = match family {
                Family::Json => Some(Values::One),
                Family::JsonLines => Some(Values::Many),
                _ => None,
            };
            checks.json = values.map(JsonCheck::new);
            if head.starts_with(&[0xEF, 0xBB, 0xBF]) {
                checks.mark_bytes_left = 3;
            }
            if matches!(family, Family::Xml | Family::Svg)
                && memchr::memmem::find(head, b"<!ENTITY").is_none()
            {
                checks.entity = Some((Awaited::new(b"<!ENTITY"), family));
            }
            return checks;
        }
        let is_image = family.category() == Category::Image;
        if is_image || family.category() == Category::Media || family == Family::Pdf {
            checks.polyglot = Some(PolyglotWatch::new(family.name(), is_image));
        }
        checks.walk = Walk::new(family);
        match family {
            Family::Zip => {
                let pickles = if self.settings.allow_pickle {
                    Pickles::Allowed
                } else {
                    Pickles::Refused
                };
                checks.zip = Some(ZipWatch::new(pickles));
            }
            Family::Pdf => checks.pdf_end = Some(Awaited::new(b"%%EOF")),
            Family::Safetensors => checks.safetensors = Some(Safetensors::new(self.validation.length)),
            _ => {}
        }
        checks
    }

    fn judge_piece(&mut self, piece: &[u8]) -> Result<(), Reason> {
        self.size_bytes += piece.len() as u64;
        limits::check_size(&self.type_settings, &self.validation, self.size_bytes)?;
        if let Some(checks) = &mut self.checks {
            checks.update(piece, &mut self.facts)?;
            image::check(&self.settings.image, &self.facts)?;
        }
        Ok(())
    }
}

/// The checks that see every byte.
#[derive(Default)]
struct Checks {
    text: Option<(TextCheck, Family)>,
    json: Option<JsonCheck>,
    /// How many bytes of the mark of UTF-8 are still to come.
    mark_bytes_left: usize,
    entity: Option<(Awaited, Family)>,
    walk: Option<Walk>,
    zip: Option<ZipWatch>,
    pdf_end: Option<Awaited>,
    safetensors: Option<Safetensors>,
    polyglot: Option<PolyglotWatch>,
}

impl Checks {
    fn update(&mut self, piece: &[u8], facts: &mut ContentFacts) -> Result<(), Reason> {
        if let Some((check, family)) = &mut self.text {
            check.update(piece).map_err(|fault| text_reason(fault, *family))?;
        }
        if let Some(check) = &mut self.json {
            let mark = self.mark_bytes_left.min(piece.len());
            self.mark_bytes_left -= mark;
            check.update(&piece[mark..]).map_err(json_reason)?;
        }
        if let Some((awaited, family)) = &mut self.entity {
            awaited.update(piece);
            if awaited.is_there() {
                return Err(markup::entities(family.name()));
            }
        }
        if let Some(check) = &mut self.polyglot {
            check.update(piece)?;
        }
        if let Some(walk) = &mut self.walk {
            walk.update(piece, facts)?;
        }
        if let Some(check) = &mut self.zip {
            check.update(piece)?;
        }
        if let Some(awaited) = &mut self.pdf_end {
            awaited.update(piece);
        }
        if let Some(check) = &mut self.safetensors {
            check.update(piece)?;
        }
        Ok(())
    }

    fn finish(&self, size_bytes: u64) -> Result<(), Reason> {
        if size_bytes == 0 {
            // The head has said what may be empty.
            return Ok(());
        }
        if let Some((check, family)) = &self.text {
            check.finish().map_err(|fault| text_reason(fault, *family))?;
        }
        if let Some(check) = &self.json {
            check.finish().map_err(json_reason)?;
        }
        if let Some(check) = &self.polyglot {
            check.finish()?;
        }
        if let Some(walk) = &self.walk {
            walk.finish()?;
        }
        if let Some(check) = &self.zip {
            check.finish()?;
        }
        if let Some(awaited) = &self.pdf_end
            && !awaited.is_there()
        {
            return Err(truncated("PDF"));
        }
        self.safetensors.as_ref().map_or(Ok(()), Safetensors::finish)
    }
}

fn text_reason(fault: text::Fault, family: Family) -> Reason {
    let name = family.name();
    let message = match fault {
        text::Fault::Encoding => format!("the content is named {name}, and is not text in its encoding"),
        text::Fault::Control => format!("the content is named {name}, and holds zero bytes"),
    };
    Reason::new(ReasonKind::NotText, message)
}

fn json_reason(fault: json::Fault) -> Reason {
    match fault {
        json::Fault::Syntax(offset) => {
            malformed("JSON", &format!("its syntax is wrong at the byte {offset}"))
        }
        json::Fault::TooDeep => Reason::new(
            ReasonKind::Bomb,
            format!("the JSON is nested deeper than {} levels", json::DEPTH_MAX),
        ),
        json::Fault::Ended => truncated("JSON"),
    }
}
