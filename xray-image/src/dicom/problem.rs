//! Why a DICOM file cannot be shown.

use super::Tag;

/// Why a DICOM file cannot be shown; each sentence is about the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DicomProblem {
    /// A length that the file does not have.
    #[error("element {tag} should have {length} bytes, and {left} are left in the file")]
    Length {
        /// The element.
        tag: Tag,
        /// What it says.
        length: u64,
        /// What there is.
        left: usize,
    },
    /// The file ends within an element's first bytes, or before its pixels.
    #[error("it is cut off")]
    CutOff,
    /// Something else where an item of a sequence must be.
    #[error("element {0} stands where an item of a sequence should")]
    NoItem(Tag),
    /// Sequences within sequences beyond reason.
    #[error("its sequences are nested more than {0} deep")]
    Depth(usize),
    /// An element that is there twice, with different values.
    #[error("element {0} is there twice and differs")]
    Twice(Tag),
    /// A value that is not what its element holds.
    #[error("element {tag} is `{value}`, not {expected}")]
    Value {
        /// The element.
        tag: Tag,
        /// What it holds.
        value: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// The compressed data set does not unpack.
    #[error("its deflated data set is broken or too large")]
    Deflated,
    /// An element without which there is no picture.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// Not one picture.
    #[error("it holds {0} frames, not one")]
    Frames(u64),
    /// Bits allocated, stored and high bit that no sample can have.
    #[error("its samples of {stored} bits, the highest bit {high}, do not fit into {allocated} bits")]
    Bits {
        /// Bits allocated.
        allocated: u16,
        /// Bits stored.
        stored: u16,
        /// High bit.
        high: u16,
    },
    /// A sample size that is not read.
    #[error("its samples have {0} bits, not 1, 8, 16 or 32")]
    SampleSize(u16),
    /// Floating-point pixel data.
    #[error("its pixels are floating-point numbers, which are not read here")]
    Float,
    /// Colours that are not read.
    #[error("its colours are {photometric} of {samples} samples a pixel, not gray, RGB or YBR")]
    Colours {
        /// Photometric interpretation.
        photometric: String,
        /// Samples per pixel.
        samples: u16,
    },
    /// A way of compression that is not read.
    #[error("its pixels are {0}, which is not read here; convert it, as with `gdcmconv --raw IN OUT`")]
    Syntax(String),
    /// Fewer or more bytes of pixels than the header says.
    #[error("its pixel data have {found} bytes, where its header makes it {expected}")]
    PixelData {
        /// What the header makes it.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// The compressed picture is not the one that the header tells of.
    #[error("its header says {header}, its {coding} data {codestream}")]
    Codestream {
        /// What compressed it.
        coding: &'static str,
        /// The header's word.
        header: String,
        /// The codestream's word.
        codestream: String,
    },
    /// The compressed pixels are damaged.
    #[error("broken {coding}: {problem}")]
    Broken {
        /// What compressed them.
        coding: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// A look-up table that cannot be read.
    #[error("its {0} LUT cannot be read")]
    Lut(&'static str),
    /// Both ways to the real values.
    #[error("it has a modality LUT and a rescale slope or intercept")]
    TwoModalities,
    /// A slope or intercept that makes no values.
    #[error("its rescale slope {slope} and intercept {intercept} make no values")]
    Rescale {
        /// Slope.
        slope: String,
        /// Intercept.
        intercept: String,
    },
    /// A window through which nothing is seen.
    #[error("its window of center {center} and width {width} ({function}) shows nothing")]
    Window {
        /// Center.
        center: String,
        /// Width.
        width: String,
        /// LINEAR, LINEAR_EXACT or SIGMOID.
        function: String,
    },
}
