//! Images, video, audio and documents of a few dozen bytes. The images are whole and can be decoded; of the others the
//! structure is right.

/// A PNG of one grey pixel.
#[must_use]
pub fn png() -> Vec<u8> {
    png_sized(1, 1)
}

/// A PNG whose header has these dimensions. Only one of 1 × 1 has its pixels.
#[must_use]
pub fn png_sized(width: u32, height: u32) -> Vec<u8> {
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend_from_slice(&[8, 0, 0, 0, 0]);
    // A stored block of deflate: the filter's byte and one pixel.
    let pixels = [
        0x78, 0x01, 0x01, 0x02, 0x00, 0xFD, 0xFF, 0x00, 0x80, 0x00, 0x82, 0x00, 0x81,
    ];
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(*b"IHDR", &header),
        chunk(*b"IDAT", &pixels),
        chunk(*b"IEND", &[]),
    ]
    .concat()
}

/// A chunk of PNG.
pub(super) fn chunk(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("samples are small");
    let body = [&kind[..], content].concat();
    [&length.to_be_bytes()[..], &body, &crc32(&body).to_be_bytes()].concat()
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

/// A GIF of one pixel.
#[must_use]
pub fn gif() -> Vec<u8> {
    [
        &b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xFF\xFF\xFF"[..],
        b",\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;",
    ]
    .concat()
}

/// A JPEG with a frame of 16 × 8 pixels; its tables are left out.
#[must_use]
pub fn jpeg() -> Vec<u8> {
    [
        &b"\xFF\xD8\xFF\xE0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"[..],
        b"\xFF\xC0\0\x0B\x08\0\x08\0\x10\x01\x01\x11\0",
        b"\xFF\xDA\0\x08\x01\x01\0\0\x3F\0\x12\x34\xFF\0\x56\xFF\xD9",
    ]
    .concat()
}

fn riff(form: [u8; 4], chunks: &[u8]) -> Vec<u8> {
    let size = u32::try_from(chunks.len() + 4).expect("samples are small");
    [&b"RIFF"[..], &size.to_le_bytes(), &form, chunks].concat()
}

/// A lossless WebP of one pixel.
#[must_use]
pub fn webp() -> Vec<u8> {
    riff(
        *b"WEBP",
        b"VP8L\x0d\0\0\0\x2F\0\0\0\x10\x07\x10\x11\x11\x88\x88\xFE\x07\0",
    )
}

/// A BMP of one pixel.
#[must_use]
pub fn bmp() -> Vec<u8> {
    let mut header = b"BM\x3A\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0".to_vec();
    header.resize(54, 0);
    [&header[..], &[0x80, 0x80, 0x80, 0]].concat()
}

/// A TIFF of one pixel, with its directory at the beginning.
#[must_use]
pub fn tiff() -> Vec<u8> {
    let entry = |tag: u16, value: u32| {
        [
            &tag.to_le_bytes()[..],
            &4_u16.to_le_bytes(),
            &1_u32.to_le_bytes(),
            &value.to_le_bytes(),
        ]
        .concat()
    };
    [
        b"II*\0\x08\0\0\0\x05\0".to_vec(),
        entry(256, 1),
        entry(257, 1),
        entry(262, 1),
        entry(273, 74),
        entry(279, 1),
        vec![0, 0, 0, 0, 0x80],
    ]
    .concat()
}

/// A box of ISO media files.
pub(super) fn iso_box(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len() + 8).expect("samples are small");
    [&size.to_be_bytes()[..], &kind, content].concat()
}

/// The boxes of an AVIF of 16 × 16 pixels, without its pixels.
#[must_use]
pub fn avif() -> Vec<u8> {
    let sizes = iso_box(*b"ipco", &iso_box(*b"ispe", b"\0\0\0\0\0\0\0\x10\0\0\0\x10"));
    let items = iso_box(*b"ipma", b"\0\0\0\0\0\0\0\x01\0\x01\x01\x01");
    let meta = [
        b"\0\0\0\0".to_vec(),
        iso_box(*b"hdlr", b"\0\0\0\0\0\0\0\0pict\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        iso_box(*b"pitm", b"\0\0\0\0\0\x01"),
        iso_box(
            *b"iinf",
            &[
                &b"\0\0\0\0\0\x01"[..],
                &iso_box(*b"infe", b"\x02\0\0\0\0\x01\0\0av01Color\0"),
            ]
            .concat(),
        ),
        iso_box(*b"iprp", &[sizes, items].concat()),
    ];
    [
        iso_box(*b"ftyp", b"avif\0\0\0\0avifmif1miaf"),
        iso_box(*b"meta", &meta.concat()),
        iso_box(*b"mdat", b"no picture"),
    ]
    .concat()
}

/// The boxes of an MP4 without tracks.
#[must_use]
pub fn mp4() -> Vec<u8> {
    [
        iso_box(*b"ftyp", b"isom\0\0\x02\0isomiso2mp41"),
        iso_box(*b"moov", &iso_box(*b"mvhd", &[0; 100])),
        iso_box(*b"mdat", b"no picture"),
    ]
    .concat()
}

/// The header and an empty segment of WebM.
#[must_use]
pub fn webm() -> Vec<u8> {
    [
        &b"\x1A\x45\xDF\xA3\x9F\x42\x86\x81\x01\x42\xF7\x81\x01\x42\xF2\x81\x04\x42\xF3\x81\x08"[..],
        b"\x42\x82\x84webm\x42\x87\x81\x04\x42\x85\x81\x02",
        b"\x18\x53\x80\x67\x88\xEC\x86\0\0\0\0\0\0",
    ]
    .concat()
}

/// A WAV of four samples.
#[must_use]
pub fn wav() -> Vec<u8> {
    let chunks = [
        &b"fmt \x10\0\0\0\x01\0\x01\0\x40\x1F\0\0\x40\x1F\0\0\x01\0\x08\0"[..],
        b"data\x04\0\0\0\x80\x81\x80\x7F",
    ]
    .concat();
    riff(*b"WAVE", &chunks)
}

/// The header of FLAC, without frames.
#[must_use]
pub fn flac() -> Vec<u8> {
    [&b"fLaC\x80\0\0\x22"[..], &[0x10; 34]].concat()
}

/// One page of Ogg, with the header of Vorbis.
#[must_use]
pub fn ogg() -> Vec<u8> {
    let packet = [&b"\x01vorbis"[..], &[0; 23]].concat();
    let page = [&b"OggS\0\x02"[..], &[0; 20], &[1, 30]].concat();
    [page, packet].concat()
}

/// A PDF without pages.
#[must_use]
pub fn pdf() -> Vec<u8> {
    b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n".to_vec()
}
