//! The application's fields: sealed into one, so that the store learns neither names nor values.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use boards_storage_core::{Error, ObjectAttributes, ObjectIdentity, Result};

use super::crypto::{self, NONCE_BYTES, SecretKey, TAG_BYTES};
use super::format::{associated_data, damaged};
use super::tenant::TenantKeys;

/// The field that holds the others.
const SEALED: &str = "boards-storage-sealed";

const VERSION: u8 = 1;
const GENERATION_END: usize = 5;
const NONCE_END: usize = GENERATION_END + NONCE_BYTES;

/// Seals the user metadata of an object into one field; none stays none.
pub(super) async fn seal(
    keys: &TenantKeys,
    attributes: &mut ObjectAttributes,
    identity: &ObjectIdentity,
) -> Result<()> {
    if attributes.user_metadata.is_empty() {
        return Ok(());
    }
    let (generation, tenant_key) = keys.current(identity.tenant()).await?;
    let mut plain = serde_json::to_vec(&attributes.user_metadata)
        .map_err(|source| Error::invalid_input("the user metadata cannot be written").with_source(source))?;
    let mut bytes = vec![VERSION];
    bytes.extend(generation.to_be_bytes());
    let mut nonce = [0; NONCE_BYTES];
    crypto::fill_random(&mut nonce)?;
    bytes.extend(nonce);
    let key = crypto::cipher(&sealing_key(&tenant_key));
    let tag = crypto::seal(&key, nonce, &bound(generation, identity), &mut plain)?;
    bytes.extend(plain);
    bytes.extend(tag);
    let text = STANDARD_NO_PAD.encode(&bytes);
    let max = ObjectAttributes::USER_METADATA_BYTES_MAX - SEALED.len();
    if text.len() > max {
        return Err(Error::invalid_input(format!(
            "the user metadata takes {} bytes once it is encrypted, at most {max} are allowed",
            text.len()
        ))
        .with_help(
            "give fewer or shorter fields: about 1,400 bytes of names, values and what the manager adds fit",
        ));
    }
    attributes.user_metadata.clear();
    attributes.user_metadata.insert(SEALED.to_owned(), text);
    Ok(())
}

/// Opens what [`seal`] made. For a call that does not say which object it is about, the field is left out.
pub(super) async fn open(
    keys: &TenantKeys,
    attributes: &mut ObjectAttributes,
    identity: Option<&ObjectIdentity>,
) -> Result<()> {
    let Some(text) = attributes.user_metadata.remove(SEALED) else {
        return Ok(());
    };
    let Some(identity) = identity else {
        return Ok(());
    };
    let wrong = || damaged("the object's metadata is not what was written");
    let mut bytes = STANDARD_NO_PAD.decode(text).map_err(|_shows_bytes| wrong())?;
    if bytes.len() < NONCE_END + TAG_BYTES || bytes[0] != VERSION {
        return Err(wrong());
    }
    let generation = u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
    let mut nonce = [0; NONCE_BYTES];
    nonce.copy_from_slice(&bytes[GENERATION_END..NONCE_END]);
    let tenant_key = keys.generation(identity.tenant(), generation).await?;
    let key = crypto::cipher(&sealing_key(&tenant_key));
    let sealed = &mut bytes[NONCE_END..];
    let plain = crypto::open(&key, nonce, &bound(generation, identity), sealed).ok_or_else(wrong)?;
    attributes.user_metadata = serde_json::from_slice(plain).map_err(|_shows_bytes| wrong())?;
    Ok(())
}

/// Leaves the sealed field out, where nobody says which object it is of.
pub(super) fn leave_out(attributes: &mut ObjectAttributes) {
    attributes.user_metadata.remove(SEALED);
}

fn sealing_key(tenant_key: &SecretKey) -> SecretKey {
    crypto::derive(tenant_key, b"boards-storage user metadata v1", &[])
}

fn bound(generation: u32, identity: &ObjectIdentity) -> Vec<u8> {
    let mut bytes = b"boards-storage user metadata v1\0".to_vec();
    bytes.extend(generation.to_be_bytes());
    bytes.extend(associated_data(identity));
    bytes
}
