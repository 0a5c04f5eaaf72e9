//! Model files and archives of a few dozen bytes.

/// Safetensors with one tensor of two `F32`.
#[must_use]
pub fn safetensors() -> Vec<u8> {
    safetensors_with(
        r#"{"weight":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
        8,
    )
}

/// Safetensors with a header of the caller's.
pub(super) fn safetensors_with(header: &str, data: usize) -> Vec<u8> {
    [
        &(header.len() as u64).to_le_bytes()[..],
        header.as_bytes(),
        &vec![0x3F; data],
    ]
    .concat()
}

/// GGUF with one text, one list of texts and one tensor.
#[must_use]
pub fn gguf() -> Vec<u8> {
    gguf_with(3, 1, 2)
}

/// GGUF whose header says so many tensors and values, whatever follows.
pub(super) fn gguf_with(version: u32, tensors: u64, pairs: u64) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let number = |number: u32| number.to_le_bytes().to_vec();
    let mut file = [
        b"GGUF".to_vec(),
        number(version),
        tensors.to_le_bytes().to_vec(),
        pairs.to_le_bytes().to_vec(),
        [text("general.architecture"), number(8), text("llama")].concat(),
        [
            text("tokens"),
            number(9),
            number(8),
            2_u64.to_le_bytes().to_vec(),
            text("a"),
            text("b"),
        ]
        .concat(),
        [
            text("weight"),
            number(1),
            2_u64.to_le_bytes().to_vec(),
            number(0),
            0_u64.to_le_bytes().to_vec(),
        ]
        .concat(),
    ]
    .concat();
    file.resize(file.len().next_multiple_of(32) + 32, 0);
    file
}

/// A pickle that calls a function when it is loaded.
#[must_use]
pub fn pickle() -> Vec<u8> {
    b"\x80\x02cos\nsystem\nq\0X\x02\0\0\0idq\x01\x85q\x02Rq\x03.".to_vec()
}

/// A ZIP file of stored entries.
#[must_use]
pub fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    zip_claiming(entries, None)
}

/// A ZIP file whose entries claim to have another length when they are unpacked.
pub(super) fn zip_claiming(entries: &[(&str, &[u8])], unpacked: Option<u32>) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let offset = u32::try_from(file.len()).expect("samples are small");
        let length = u32::try_from(content.len()).expect("samples are small");
        let name_length = u16::try_from(name.len()).expect("samples are small");
        let sizes = [
            &[0; 4][..],
            &length.to_le_bytes(),
            &unpacked.unwrap_or(length).to_le_bytes(),
            &name_length.to_le_bytes(),
            &[0; 2],
        ]
        .concat();
        file.extend_from_slice(
            &[
                &b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0"[..],
                &sizes,
                name.as_bytes(),
                content,
            ]
            .concat(),
        );
        let rest = [&[0; 10][..], &offset.to_le_bytes(), name.as_bytes()].concat();
        directory
            .extend_from_slice(&[&b"PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0\0\0"[..], &sizes, &rest].concat());
    }
    let count = u16::try_from(entries.len())
        .expect("samples are small")
        .to_le_bytes();
    let size = u32::try_from(directory.len())
        .expect("samples are small")
        .to_le_bytes();
    let offset = u32::try_from(file.len())
        .expect("samples are small")
        .to_le_bytes();
    [
        &file[..],
        &directory,
        b"PK\x05\x06\0\0\0\0",
        &count,
        &count,
        &size,
        &offset,
        &[0, 0],
    ]
    .concat()
}
