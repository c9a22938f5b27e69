//! How pixels become a network's input, as data: the settings travel inside the bundle, and training,
//! evaluation and serving hand them to the same function (`xray_image::prepare`).

use crate::Versioned;
use serde::{Deserialize, Serialize};
use std::fmt;
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
    /// Pixels to which the shorter side is scaled before the centred square of `size` is cut out of it, as torchvision does
    /// for ImageNet (256 before 224). Only with [`Crop::Center`], which otherwise cuts first and scales then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shorter_side: Option<u32>,
    /// Of a network of colour images, which is given the gray image three times: what each channel does with the values that
    /// `mean` and `std` gave. Published models only; what is trained here has one mean and one deviation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<[ChannelRange; 3]>,
}

/// How one channel is normalised.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelRange {
    /// Is subtracted.
    pub mean: f32,
    /// Divides the difference.
    pub std: f32,
}

impl ChannelRange {
    /// `(value - mean) / std`.
    pub fn of(self, value: f32) -> f32 {
        (value - self.mean) / self.std
    }
}

/// Settings that prepare no image, by their key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreprocessingProblem {
    /// The key below `preprocessing`.
    pub key: &'static str,
    /// What it is.
    pub value: String,
    /// What it must be.
    pub expected: String,
}

impl fmt::Display for PreprocessingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PreprocessingProblem { key, value, expected } = self;
        write!(f, "preprocessing.{key} is {value}, it must be {expected}")
    }
}

impl std::error::Error for PreprocessingProblem {}

impl Preprocessing {
    /// That ranges are finite and that what is set acts.
    ///
    /// # Errors
    /// Names the first key that does not.
    pub fn check(&self) -> Result<(), PreprocessingProblem> {
        let refuse = |key, value: String, expected: &str| {
            Err(PreprocessingProblem { key, value, expected: expected.to_owned() })
        };
        let divides = |std: f32| std > 0.0 && std.is_finite();
        if !divides(self.std) {
            return refuse("std", self.std.to_string(), "above 0");
        }
        if !self.mean.is_finite() {
            return refuse("mean", self.mean.to_string(), "a finite number");
        }
        let is_range = |range: &ChannelRange| range.mean.is_finite() && divides(range.std);
        if let Some(range) = self.channels.iter().flatten().find(|range| !is_range(range)) {
            let ChannelRange { mean, std } = range;
            return refuse("channels", format!("mean {mean}, std {std}"), "finite, with a std above 0");
        }
        match self.shorter_side {
            Some(side) if self.crop != Crop::Center => {
                refuse("shorter_side", side.to_string(), "left out, unless `crop` is `center`")
            }
            Some(side) if side < self.size => {
                refuse("shorter_side", side.to_string(), &format!("at least the size, {}", self.size))
            }
            _ => Ok(()),
        }
    }
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
            shorter_side: None,
            channels: None,
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
    /// A Gaussian whose deviation is half of what the scale exceeds 1 by, then linear interpolation: what scikit-image calls
    /// `resize`, and torchxrayvision's `XRayResizer`. Beyond the border lies mid-gray, which is 0 there, and a centred square
    /// is cut out where `XRayCenterCrop` does, a pixel further where the rest is odd and its side too.
    Gaussian,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prepares_no_image_is_refused_by_its_key() {
        let plain = Preprocessing::default();
        plain.check().expect("the default");
        let refused = |of: Preprocessing| of.check().expect_err("refused").to_string();
        let ranges = |mean, std| Some([ChannelRange { mean, std }; 3]);
        let center = Preprocessing { crop: Crop::Center, ..plain.clone() };
        assert_eq!(
            refused(Preprocessing { std: 0.0, ..plain.clone() }),
            "preprocessing.std is 0, it must be above 0"
        );
        assert!(refused(Preprocessing { std: f32::INFINITY, ..plain.clone() }).contains(".std is inf"));
        assert!(refused(Preprocessing { mean: f32::NAN, ..plain.clone() }).contains(".mean is NaN"));
        assert!(
            refused(Preprocessing { channels: ranges(0.5, 0.0), ..plain.clone() })
                .contains(".channels is mean 0.5, std 0")
        );
        assert!(
            refused(Preprocessing { channels: ranges(f32::NAN, 1.0), ..plain.clone() }).contains(".channels")
        );
        assert!(
            refused(Preprocessing { shorter_side: Some(256), ..plain }).contains("unless `crop` is `center`")
        );
        assert!(
            refused(Preprocessing { shorter_side: Some(223), ..center.clone() })
                .contains("at least the size, 224")
        );
        Preprocessing { shorter_side: Some(224), channels: ranges(0.4, 0.2), ..center }
            .check()
            .expect("ImageNet's");
    }
}
