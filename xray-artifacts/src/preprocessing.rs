//! How pixels become a network's input, as data: the settings travel inside the bundle, and training,
//! evaluation and serving hand them to the same function (`xray_image::prepare`).

use crate::Versioned;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU16;

/// From a decoded gray image of any size, 0 to 255, to `size` × `size` floats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Width and height of the network's input, in pixels.
    pub size: u32,
    /// What to do with an image that is not square.
    pub crop: Crop,
    /// How to resize.
    pub filter: ResizeFilter,
    /// Subtracted from the pixel value scaled to 0..1.
    pub mean: f32,
    /// Divides the difference.
    pub std: f32,
    /// The value that is white in PNG files of 16 bits, where one holds for the whole data set. Where none, each image is
    /// stretched by its own range: the smallest of 8, 10, 12, 14 and 16 bits that holds nearly all its pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub white_level: Option<NonZeroU16>,
    /// Width and height to which the images of the data set were squashed when it was built: what was not stored so is
    /// first brought to it, so that a model sees of an original what it saw of the stored image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_size: Option<u32>,
}

impl Default for Preprocessing {
    /// 224 px, squashed to a square, antialiased bilinear, and the mean and deviation of ImageNet's
    /// three channels averaged, which fit gray X-rays well and keep imported weights in their range.
    fn default() -> Self {
        Preprocessing {
            size: 224,
            crop: Crop::Squash,
            filter: ResizeFilter::Bilinear,
            mean: 0.449,
            std: 0.226,
            white_level: None,
            stored_size: None,
        }
    }
}

impl Versioned for Preprocessing {
    const FORMAT: u32 = 1;
    const KIND: &'static str = "preprocessing";
}

/// What happens to an image that is not square.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Crop {
    /// Width and height are scaled separately: nothing is lost, proportions change.
    #[default]
    Squash,
    /// The largest centred square is kept.
    Center,
    /// The whole image is kept, black borders fill the square.
    Pad,
}

/// The kernel of the resize; all of them widen when shrinking, so that nothing aliases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResizeFilter {
    /// Box average.
    Box,
    /// Triangle; the default, and what Pillow calls BILINEAR.
    #[default]
    Bilinear,
    /// Lanczos with three lobes.
    Lanczos3,
}
