//! Families of formats: what two names, or a name and a sniffer, must agree on.
//!
//! A family is as fine as the beginning of the bytes can tell: MP4 and QuickTime are one, for many files are both. What
//! is in no family is unknown to the policy, and agrees with everything.

/// A family of formats that the bytes can be told to be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    Png,
    Jpeg,
    Gif,
    WebP,
    /// AVIF and HEIF: images in ISO media files.
    IsoImage,
    Bmp,
    Tiff,
    Icon,
    Jxl,
    Photoshop,
    Qoi,
    /// MP4, M4A, 3GP and QuickTime.
    IsoMedia,
    /// `WebM` and Matroska.
    Matroska,
    Avi,
    Mpeg,
    Flv,
    Asf,
    /// MP3, and AAC with its headers, which begin alike.
    Mp3,
    Wav,
    Flac,
    Ogg,
    Aiff,
    Midi,
    Amr,
    Pdf,
    /// ZIP, and the formats that are ZIP files.
    Zip,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
    Tar,
    SevenZip,
    Rar,
    Executable,
    Wasm,
    /// The Office formats of before 2007.
    CompoundFile,
    Sqlite,
    Html,
    Svg,
    Xml,
    Json,
    JsonLines,
    Script,
    /// Other text.
    Text,
    Safetensors,
    Gguf,
    Pickle,
    /// Images that the sniffers may know, and the policy has no more to say of.
    OtherImage,
    /// The same, of video and audio.
    OtherMedia,
}

/// What an artifact type can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Category {
    Image,
    /// Video and audio share their containers.
    Media,
    Text,
    Model,
    Other,
}

impl Family {
    /// Returns the family of a content type, of either spelling; `None` if the policy knows none.
    pub(crate) fn of_type(essence: &str) -> Option<Self> {
        let essence = essence.to_ascii_lowercase();
        Self::of_media(&essence)
            .or_else(|| Self::of_application(&essence))
            .or_else(|| Self::of_text(&essence))
    }

    fn of_media(essence: &str) -> Option<Self> {
        let (main, sub) = essence.split_once('/')?;
        Some(
            match (main, sub.trim_start_matches("x-").trim_start_matches("vnd.")) {
                ("image", "png" | "apng" | "mozilla.apng") => Self::Png,
                ("image", "jpeg" | "jpg" | "pjpeg" | "jfif") => Self::Jpeg,
                ("image", "gif") => Self::Gif,
                ("image", "webp") => Self::WebP,
                ("image", "avif" | "avif-sequence" | "heif" | "heic" | "heif-sequence" | "heic-sequence") => {
                    Self::IsoImage
                }
                ("image", "bmp" | "ms-bmp") => Self::Bmp,
                ("image", "tiff" | "tif" | "tiff-fx") => Self::Tiff,
                ("image", "icon" | "microsoft.icon" | "ico") => Self::Icon,
                ("image", "jxl") => Self::Jxl,
                ("image", "adobe.photoshop" | "photoshop" | "psd") => Self::Photoshop,
                ("image", "qoi") => Self::Qoi,
                ("image", "svg+xml" | "svg") => Self::Svg,
                ("video", "mp4" | "m4v" | "quicktime" | "3gpp" | "3gpp2" | "mj2")
                | ("audio", "mp4" | "m4a" | "m4b" | "3gpp" | "3gpp2" | "mp4a-latm") => Self::IsoMedia,
                ("video" | "audio", "webm" | "matroska") | ("video", "matroska-3d") => Self::Matroska,
                ("video", "msvideo" | "avi") => Self::Avi,
                ("video", "mpeg" | "mp2t" | "mp1s" | "mp2p" | "mpeg2" | "dlna.mpeg-tts") => Self::Mpeg,
                ("video", "flv") => Self::Flv,
                ("video" | "audio", "ms-asf" | "ms-wmv" | "ms-wma") => Self::Asf,
                (
                    "audio",
                    "mpeg" | "mp3" | "mpeg3" | "mpa" | "mpegaudio" | "aac" | "aacp" | "hx-aac-adts",
                ) => Self::Mp3,
                ("audio", "wav" | "wave" | "pn-wav") => Self::Wav,
                ("audio", "flac") => Self::Flac,
                ("audio" | "video", "ogg" | "opus" | "vorbis" | "speex" | "theora" | "oga" | "ogv") => {
                    Self::Ogg
                }
                ("audio", "aiff" | "aif" | "aifc") => Self::Aiff,
                ("audio", "midi" | "mid" | "sp-midi") => Self::Midi,
                ("audio", "amr" | "amr-wb") => Self::Amr,
                // Lists of media are text, which may name any file or server.
                (
                    "audio" | "video",
                    "mpegurl" | "scpls" | "ms-wax" | "ms-wvx" | "ms-wmx" | "ms-asx" | "pn-realaudio",
                ) => Self::Text,
                ("image", _) => Self::OtherImage,
                ("video" | "audio", _) => Self::OtherMedia,
                _ => return None,
            },
        )
    }

    fn of_application(essence: &str) -> Option<Self> {
        let sub = essence.strip_prefix("application/")?;
        let plain = sub.trim_start_matches("x-").trim_start_matches("vnd.");
        Some(match plain {
            "pdf" => Self::Pdf,
            "zip"
            | "zip-compressed"
            | "epub+zip"
            | "java-archive"
            | "jar"
            | "android.package-archive"
            | "krz"
            | "apple.installer+zip"
            | "xpinstall"
            | "chrome-extension" => Self::Zip,
            _ if plain.starts_with("openxmlformats-officedocument")
                || plain.starts_with("oasis.opendocument")
                || plain.ends_with("+zip")
                || plain.starts_with("ms-package.3dmanufacturing") =>
            {
                Self::Zip
            }
            "gzip" | "gtar-compressed" => Self::Gzip,
            "bzip2" | "bzip" => Self::Bzip2,
            "xz" => Self::Xz,
            "zstd" => Self::Zstd,
            "tar" | "gtar" | "ustar" => Self::Tar,
            "7z-compressed" => Self::SevenZip,
            "rar" | "rar-compressed" => Self::Rar,
            "msdownload"
            | "dosexec"
            | "msdos-program"
            | "executable"
            | "sharedlib"
            | "elf"
            | "mach-binary"
            | "microsoft.portable-executable"
            | "pie-executable"
            | "mach-o"
            | "dos-executable" => Self::Executable,
            "wasm" => Self::Wasm,
            "ole-storage" | "cfb" | "msword" | "ms-excel" | "ms-powerpoint" | "msi" => Self::CompoundFile,
            "sqlite3" => Self::Sqlite,
            "ogg" => Self::Ogg,
            "matroska" => Self::Matroska,
            "mp4" => Self::IsoMedia,
            "photoshop" => Self::Photoshop,
            "safetensors" => Self::Safetensors,
            "gguf" => Self::Gguf,
            "pickle" | "python-pickle" | "python-serialize" => Self::Pickle,
            "xhtml+xml" => Self::Html,
            "jsonl" | "jsonlines" | "ndjson" => Self::JsonLines,
            "json" | "jsonml+json" | "manifest+json" => Self::Json,
            "xml" | "xml-dtd" => Self::Xml,
            "shellscript" | "sh" => Self::Script,
            "yaml" | "toml" | "javascript" | "ecmascript" | "sql" | "subrip" | "graphql" | "typescript"
            | "httpd-php" | "php" | "tex" | "latex" | "csh" | "python" | "perl" | "ruby" | "rtf"
            | "apple.mpegurl" | "mpegurl" => Self::Text,
            _ if plain.ends_with("+json") => Self::Json,
            _ if plain.ends_with("+xml") => Self::Xml,
            _ => return None,
        })
    }

    fn of_text(essence: &str) -> Option<Self> {
        let sub = match essence.split_once('/') {
            Some(("text", sub)) => sub,
            Some((_, sub)) if sub.ends_with("+xml") => return Some(Self::Xml),
            Some((_, sub)) if sub.ends_with("+json") => return Some(Self::Json),
            _ => return None,
        };
        Some(match sub {
            "html" => Self::Html,
            "xml" => Self::Xml,
            "json" => Self::Json,
            "x-shellscript" | "x-sh" => Self::Script,
            _ => Self::Text,
        })
    }

    /// Returns the families that a file name extension may stand for; none if it says nothing.
    pub(crate) fn of_extension(extension: &str) -> Vec<Self> {
        let own: &[Self] = match extension {
            "safetensors" => &[Self::Safetensors],
            "gguf" => &[Self::Gguf],
            "pkl" | "pickle" | "pt" | "pth" | "ckpt" | "joblib" | "dill" => &[Self::Pickle],
            "jsonl" | "ndjson" => &[Self::JsonLines],
            "ts" => &[Self::Text, Self::Mpeg],
            "mts" => &[Self::Text, Self::Mpeg],
            "heic" | "heif" | "avif" => &[Self::IsoImage],
            "srt" | "vtt" | "ass" | "md" | "yaml" | "yml" | "toml" | "csv" | "tsv" | "txt" | "log" => {
                &[Self::Text]
            }
            "ogx" => &[Self::Ogg],
            "mka" | "mkv" | "webm" | "weba" => &[Self::Matroska],
            "jfif" => &[Self::Jpeg],
            "apng" => &[Self::Png],
            "npz" => &[Self::Zip],
            "exe" | "dll" | "com" | "scr" => &[Self::Executable],
            "qoi" => &[Self::Qoi],
            _ => &[],
        };
        if !own.is_empty() {
            return own.to_vec();
        }
        let mut families: Vec<Self> = Vec::new();
        for guess in mime_guess::from_ext(extension).iter_raw() {
            if let Some(family) = Self::of_type(guess)
                && !families.contains(&family)
            {
                families.push(family);
            }
        }
        families
    }

    pub(crate) fn category(self) -> Category {
        match self {
            Self::Png
            | Self::Jpeg
            | Self::Gif
            | Self::WebP
            | Self::IsoImage
            | Self::Bmp
            | Self::Tiff
            | Self::Icon
            | Self::Jxl
            | Self::Photoshop
            | Self::Qoi
            | Self::Svg
            | Self::OtherImage => Category::Image,
            Self::IsoMedia
            | Self::Matroska
            | Self::Avi
            | Self::Mpeg
            | Self::Flv
            | Self::Asf
            | Self::Mp3
            | Self::Wav
            | Self::Flac
            | Self::Ogg
            | Self::Aiff
            | Self::Midi
            | Self::Amr
            | Self::OtherMedia => Category::Media,
            Self::Html | Self::Xml | Self::Json | Self::JsonLines | Self::Script | Self::Text => {
                Category::Text
            }
            Self::Safetensors | Self::Gguf | Self::Pickle => Category::Model,
            Self::Pdf
            | Self::Zip
            | Self::Gzip
            | Self::Bzip2
            | Self::Xz
            | Self::Zstd
            | Self::Tar
            | Self::SevenZip
            | Self::Rar
            | Self::Executable
            | Self::Wasm
            | Self::CompoundFile
            | Self::Sqlite => Category::Other,
        }
    }

    /// Says whether the bytes of the family are text.
    pub(crate) fn is_text(self) -> bool {
        self == Self::Svg || self.category() == Category::Text
    }

    /// Says whether bytes, or a name, of the other family may go by this name.
    pub(crate) fn agrees(self, other: Self) -> bool {
        let plain = |family: Self| matches!(family, Self::Text | Self::Json | Self::JsonLines | Self::Script);
        self == other
            || (plain(self) && plain(other))
            || matches!((self, other), (Self::Svg, Self::Xml) | (Self::Xml, Self::Svg))
            || matches!(
                (self, other),
                (Self::Pickle, Self::Zip) | (Self::Zip, Self::Pickle)
            )
            || self.covers(other)
    }

    /// Says whether a vague name may stand for another family: the raw formats of cameras are TIFF files, too.
    fn covers(self, other: Self) -> bool {
        matches!(
            (self, other.category()),
            (Self::OtherImage, Category::Image) | (Self::OtherMedia, Category::Media)
        )
    }

    /// The name for messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::Gif => "GIF",
            Self::WebP => "WebP",
            Self::IsoImage => "AVIF or HEIF",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
            Self::Icon => "ICO",
            Self::Jxl => "JPEG XL",
            Self::Photoshop => "PSD",
            Self::Qoi => "QOI",
            Self::IsoMedia => "MP4 or QuickTime",
            Self::Matroska => "WebM or Matroska",
            Self::Avi => "AVI",
            Self::Mpeg => "MPEG",
            Self::Flv => "FLV",
            Self::Asf => "ASF",
            Self::Mp3 => "MP3 or AAC",
            Self::Wav => "WAV",
            Self::Flac => "FLAC",
            Self::Ogg => "Ogg",
            Self::Aiff => "AIFF",
            Self::Midi => "MIDI",
            Self::Amr => "AMR",
            Self::Pdf => "PDF",
            Self::Zip => "ZIP",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zstd => "Zstandard",
            Self::Tar => "tar",
            Self::SevenZip => "7-Zip",
            Self::Rar => "RAR",
            Self::Executable => "a program",
            Self::Wasm => "WebAssembly",
            Self::CompoundFile => "a compound file",
            Self::Sqlite => "SQLite",
            Self::Html => "HTML",
            Self::Svg => "SVG",
            Self::Xml => "XML",
            Self::Json => "JSON",
            Self::JsonLines => "JSON lines",
            Self::Script => "a script",
            Self::Text => "text",
            Self::Safetensors => "safetensors",
            Self::Gguf => "GGUF",
            Self::Pickle => "a pickle",
            Self::OtherImage => "an image",
            Self::OtherMedia => "video or audio",
        }
    }

    /// The content type of the family's bytes, for the facts.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::WebP => "image/webp",
            Self::IsoImage => "image/heif",
            Self::Bmp => "image/bmp",
            Self::Tiff => "image/tiff",
            Self::Icon => "image/vnd.microsoft.icon",
            Self::Jxl => "image/jxl",
            Self::Photoshop => "image/vnd.adobe.photoshop",
            Self::Qoi => "image/qoi",
            Self::IsoMedia => "video/mp4",
            Self::Matroska => "video/matroska",
            Self::Avi => "video/x-msvideo",
            Self::Mpeg => "video/mpeg",
            Self::Flv => "video/x-flv",
            Self::Asf => "video/x-ms-asf",
            Self::Mp3 => "audio/mpeg",
            Self::Wav => "audio/wav",
            Self::Flac => "audio/flac",
            Self::Ogg => "application/ogg",
            Self::Aiff => "audio/aiff",
            Self::Midi => "audio/midi",
            Self::Amr => "audio/amr",
            Self::Pdf => "application/pdf",
            Self::Zip => "application/zip",
            Self::Gzip => "application/gzip",
            Self::Bzip2 => "application/x-bzip2",
            Self::Xz => "application/x-xz",
            Self::Zstd => "application/zstd",
            Self::Tar => "application/x-tar",
            Self::SevenZip => "application/x-7z-compressed",
            Self::Rar => "application/vnd.rar",
            Self::Executable => "application/x-executable",
            Self::Wasm => "application/wasm",
            Self::CompoundFile => "application/x-ole-storage",
            Self::Sqlite => "application/vnd.sqlite3",
            Self::Html => "text/html",
            Self::Svg => "image/svg+xml",
            Self::Xml => "application/xml",
            Self::Json => "application/json",
            Self::JsonLines => "application/jsonl",
            Self::Script => "text/x-shellscript",
            Self::Text => "text/plain",
            Self::Safetensors => "application/vnd.safetensors",
            Self::Gguf => "application/vnd.gguf",
            Self::Pickle => "application/x-pickle",
            Self::OtherImage | Self::OtherMedia => "application/octet-stream",
        }
    }
}
