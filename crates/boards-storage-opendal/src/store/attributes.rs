//! Attributes of ours and of `object_store`.

use boards_storage_core::{Error, ObjectAttributes, Result};
use object_store::{Attribute, Attributes};

/// Says ours in `object_store`'s words; `fields` are the pairs of user metadata as they are sent.
pub(crate) fn to_native(
    attributes: &ObjectAttributes,
    fields: impl IntoIterator<Item = (String, String)>,
) -> Attributes {
    let content_type = attributes.content_type.as_ref().map(ToString::to_string);
    let headers = [
        (Attribute::ContentType, content_type),
        (
            Attribute::ContentDisposition,
            attributes.content_disposition.clone(),
        ),
        (Attribute::ContentEncoding, attributes.content_encoding.clone()),
        (Attribute::ContentLanguage, attributes.content_language.clone()),
        (Attribute::CacheControl, attributes.cache_control.clone()),
    ];
    let headers = headers
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let fields = fields
        .into_iter()
        .map(|(name, value)| (Attribute::Metadata(name.into()), value));
    headers.chain(fields).collect()
}

/// Says `object_store`'s in our words; `field` takes the pairs of user metadata.
///
/// # Errors
///
/// `InvalidInput` for a content type that is none, `Unsupported` for what we have no word for.
pub(crate) fn from_native(
    attributes: &Attributes,
    mut field: impl FnMut(&str, &str),
) -> Result<ObjectAttributes> {
    let mut ours = ObjectAttributes::default();
    for (name, value) in attributes {
        let value: &str = value.as_ref();
        match name {
            Attribute::ContentType => ours.content_type = Some(value.parse()?),
            Attribute::ContentDisposition => ours.content_disposition = Some(value.to_owned()),
            Attribute::ContentEncoding => ours.content_encoding = Some(value.to_owned()),
            Attribute::ContentLanguage => ours.content_language = Some(value.to_owned()),
            Attribute::CacheControl => ours.cache_control = Some(value.to_owned()),
            Attribute::Metadata(name) => field(name, value),
            other => {
                return Err(Error::unsupported(format!(
                    "the attribute {other:?} cannot be kept"
                )));
            }
        }
    }
    Ok(ours)
}
