//! Why bytes are not an X-ray that can be used, and how large one may be.

use crate::DicomProblem;

/// The longest side that is decoded, in pixels.
pub const MAX_SIDE: u32 = 8192;

/// Why bytes are not an X-ray that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageProblem {
    /// No bytes at all.
    #[error("the image is empty (0 bytes)")]
    Empty,
    /// Neither JPEG nor PNG; `found` names what it is.
    #[error("the image is {found}, not JPEG or PNG")]
    Format {
        /// What the first bytes say.
        found: String,
    },
    /// The header announces more pixels than are decoded; nothing was allocated.
    #[error(
        "the image is {width}x{height}, more than {MAX_SIDE} pixels a side or {:.0} megapixels",
        *allowed as f64 / 1e6
    )]
    TooLarge {
        /// Width in the header.
        width: u32,
        /// Height in the header.
        height: u32,
        /// The most pixels, width times height.
        allowed: u64,
    },
    /// Decoding would hold more memory than its [`Budget`](crate::Budget) has; nothing was allocated.
    #[error("decoding the image takes {} MB of memory, more than {} MB", bytes.div_ceil(1_000_000), allowed / 1_000_000)]
    TooMuchMemory {
        /// What it would take.
        bytes: u64,
        /// What it may take.
        allowed: u64,
    },
    /// The system has no such memory at the moment; only said where a [`Budget`](crate::Budget) has a deadline.
    #[error("decoding the image takes {} MB of memory, which the system does not give now", bytes.div_ceil(1_000_000))]
    NoMemory {
        /// What it would take.
        bytes: u64,
    },
    /// A small file that asks for endless work, such as a progressive JPEG of hundreds of scans.
    #[error("decoding the image takes more work than any X-ray: it holds too many scans for its size")]
    TooMuchWork,
    /// The deadline of the [`Budget`](crate::Budget) passed while the image was decoded.
    #[error("decoding the image takes too long")]
    OutOfTime,
    /// The decoder itself failed: a fault of the program that only this file shows.
    #[error("the decoder failed: {0}")]
    Decoder(String),
    /// A side of zero pixels, or fewer pixels than width times height.
    #[error("the image has no pixels ({width}x{height}, {pixels} values)")]
    NoPixels {
        /// Width.
        width: u32,
        /// Height.
        height: u32,
        /// Values held.
        pixels: usize,
    },
    /// The JPEG decoder's complaint.
    #[error("broken JPEG: {0}")]
    Jpeg(String),
    /// The PNG decoder's complaint.
    #[error("broken PNG: {0}")]
    Png(String),
    /// Why a DICOM file cannot be shown.
    #[error("broken or unusual DICOM: {0}")]
    Dicom(DicomProblem),
    /// One value everywhere: not an X-ray.
    #[error("every pixel is {value}: not an X-ray")]
    Constant {
        /// The value.
        value: u8,
    },
    /// The brightest pixel is so dark that the values were scaled wrongly.
    #[error(
        "the brightest pixel is {max} of 255: the values were scaled wrongly (divided twice, or 0..1 stored as bytes)"
    )]
    Black {
        /// The brightest value.
        max: u8,
    },
    /// The preprocessing asks for an impossible size.
    #[error("cannot resize to {size} pixels (1 to {MAX_SIDE})")]
    TargetSize {
        /// The size asked for.
        size: u32,
    },
}

impl From<DicomProblem> for ImageProblem {
    fn from(problem: DicomProblem) -> Self {
        ImageProblem::Dicom(problem)
    }
}
