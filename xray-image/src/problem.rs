//! Why bytes are not an X-ray that can be used, and how large one may be.

/// The longest side that is decoded, in pixels.
pub const MAX_SIDE: u32 = 8192;
/// The most pixels that are decoded: 64 MP, the largest detector with room to spare.
const MAX_PIXELS: u64 = 1 << 26;

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
    #[error("the image is {width}x{height}, more than {MAX_SIDE} pixels a side or 64 megapixels")]
    TooLarge {
        /// Width in the header.
        width: u32,
        /// Height in the header.
        height: u32,
    },
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
    Dicom(String),
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

impl ImageProblem {
    /// Refuses a header that announces no pixels, or too many.
    pub(crate) fn check_size(width: u32, height: u32) -> Result<(), ImageProblem> {
        if width == 0 || height == 0 {
            return Err(ImageProblem::NoPixels { width, height, pixels: 0 });
        }
        let pixels = u64::from(width) * u64::from(height);
        if width.max(height) > MAX_SIDE || pixels > MAX_PIXELS {
            return Err(ImageProblem::TooLarge { width, height });
        }
        Ok(())
    }
}
