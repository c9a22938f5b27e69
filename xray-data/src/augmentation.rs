//! Random changes of a training image that keep its findings: small rotations, shifts, zooms, tone changes.

use crate::random::Random;
use serde::{Deserialize, Serialize};

/// How far a training image may be changed; every value is the largest change to either side, drawn uniformly.
/// All zero (and no flip) leaves the image as it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Rotation about the centre, in degrees.
    pub rotation_degrees: f32,
    /// Shift along each axis, as a part of the side.
    pub shift_fraction: f32,
    /// Zoom: 0.1 draws from 1/1.1 to 1.1.
    pub scale_fraction: f32,
    /// Added to every value, as a part of the range 0..255.
    pub brightness: f32,
    /// Contrast about mid-gray: 0.1 multiplies the distance from it by 0.9 to 1.1.
    pub contrast: f32,
    /// Mirror every second image. Off by default: a mirrored chest has its heart on the wrong side.
    pub flip: bool,
}

impl Default for Augmentation {
    /// Mild: what positioning and exposure vary between two films of one patient.
    fn default() -> Self {
        Augmentation {
            rotation_degrees: 5.0,
            shift_fraction: 0.05,
            scale_fraction: 0.05,
            brightness: 0.05,
            contrast: 0.1,
            flip: false,
        }
    }
}

/// A setting of [`Augmentation`] that is not a number in its range.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("augmentation {name} is {value}, outside 0 to {limit}")]
pub struct AugmentationProblem {
    /// The setting.
    pub name: &'static str,
    /// Its value.
    pub value: f32,
    /// The largest that makes sense.
    pub limit: f32,
}

impl Augmentation {
    /// No change at all.
    pub const NONE: Augmentation = Augmentation {
        rotation_degrees: 0.0,
        shift_fraction: 0.0,
        scale_fraction: 0.0,
        brightness: 0.0,
        contrast: 0.0,
        flip: false,
    };

    /// Checks every setting against its range; call it on what a user wrote.
    ///
    /// # Errors
    /// The first setting that is negative, too large or not a number.
    pub fn validate(&self) -> Result<(), AugmentationProblem> {
        let settings = [
            ("rotation_degrees", self.rotation_degrees, 180.0),
            ("shift_fraction", self.shift_fraction, 0.5),
            ("scale_fraction", self.scale_fraction, 1.0),
            ("brightness", self.brightness, 1.0),
            ("contrast", self.contrast, 1.0),
        ];
        match settings.into_iter().find(|(_, value, limit)| !(0.0..=*limit).contains(value)) {
            Some((name, value, limit)) => Err(AugmentationProblem { name, value, limit }),
            None => Ok(()),
        }
    }
}

/// Writes a randomly changed copy of the square image `pixels` to `out`: one affine bilinear resample and one
/// tone curve. What lies outside the image is black, as beyond the collimator.
///
/// A pure function of its arguments: the draws depend on `seed`, `epoch` and `record_key` only.
///
/// # Panics
/// When `pixels` or `out` is not `size * size` long.
pub fn augment(
    pixels: &[u8],
    size: u32,
    augmentation: &Augmentation,
    seed: u64,
    epoch: u64,
    record_key: u64,
    out: &mut [u8],
) {
    let side = size as usize;
    assert!(pixels.len() == side * side && out.len() == side * side, "square images of {size} pixels");
    let mut random = Random::keyed(&[seed, epoch, record_key]);
    let affine = Affine::draw(augmentation, &mut random, side);
    let tone = tone_curve(augmentation, &mut random);
    if affine == Affine::IDENTITY {
        out.copy_from_slice(pixels);
    } else {
        resample(pixels, side, &affine, out);
    }
    out.iter_mut().for_each(|pixel| *pixel = tone[usize::from(*pixel)]);
}

/// Uniform in -1..1 times `limit`.
fn spread(random: &mut Random, limit: f32) -> f64 {
    random.between(-1.0, 1.0) * f64::from(limit)
}

/// Where an output pixel comes from, in source pixels: `x = xx * column + xy * row + x0`, likewise `y`.
#[derive(Debug, PartialEq)]
struct Affine {
    xx: f64,
    xy: f64,
    x0: f64,
    yx: f64,
    yy: f64,
    y0: f64,
}

impl Affine {
    const IDENTITY: Affine = Affine { xx: 1.0, xy: 0.0, x0: 0.0, yx: 0.0, yy: 1.0, y0: 0.0 };

    /// Rotation, zoom and mirror about the centre, then a shift. Always draws the same number of times, so
    /// that switching one setting off leaves the others' draws alone.
    fn draw(augmentation: &Augmentation, random: &mut Random, side: usize) -> Affine {
        let (sin, cos) = spread(random, augmentation.rotation_degrees).to_radians().sin_cos();
        let scale = (1.0 + f64::from(augmentation.scale_fraction)).powf(random.between(-1.0, 1.0));
        let shift_x = spread(random, augmentation.shift_fraction) * side as f64;
        let shift_y = spread(random, augmentation.shift_fraction) * side as f64;
        let mirrored = random.bits() & 1 == 1 && augmentation.flip;
        let sign = if mirrored { -1.0 } else { 1.0 };
        let (xx, xy, yx, yy) = (sign * cos / scale, sign * sin / scale, -sin / scale, cos / scale);
        let centre = (side as f64 - 1.0) / 2.0;
        let start = |a: f64, b: f64, shift: f64| centre - centre * (a + b) + shift;
        Affine { xx, xy, x0: start(xx, xy, shift_x), yx, yy, y0: start(yx, yy, shift_y) }
    }
}

/// Fraction bits of source positions; weights use the upper eight of them.
const FRACTION: i32 = 16;

fn resample(pixels: &[u8], side: usize, affine: &Affine, out: &mut [u8]) {
    let fixed = |value: f64| (value * f64::from(1 << FRACTION)).round() as i64;
    let (step_x, step_y) = (fixed(affine.xx), fixed(affine.yx));
    for (row, out) in out.chunks_exact_mut(side).enumerate() {
        // Each row starts afresh in floating point: rounding of the steps adds up over one row only.
        let mut x = fixed(affine.x0 + affine.xy * row as f64);
        let mut y = fixed(affine.y0 + affine.yy * row as f64);
        for out in out {
            *out = bilinear(pixels, side, x, y);
            x += step_x;
            y += step_y;
        }
    }
}

/// The value at a fixed-point position; neighbours outside the image count as black.
fn bilinear(pixels: &[u8], side: usize, x: i64, y: i64) -> u8 {
    let (column, row) = (x >> FRACTION, y >> FRACTION);
    let weight = |position: i64| ((position >> (FRACTION - 8)) & 0xFF) as u32;
    let (right, below) = (weight(x), weight(y));
    let inside = 0..side as i64 - 1;
    let [a, b, c, d] = if inside.contains(&column) && inside.contains(&row) {
        let at = row as usize * side + column as usize;
        [pixels[at], pixels[at + 1], pixels[at + side], pixels[at + side + 1]]
    } else {
        let value = |column: i64, row: i64| {
            let inside = (0..side as i64).contains(&column) && (0..side as i64).contains(&row);
            if inside { pixels[row as usize * side + column as usize] } else { 0 }
        };
        [value(column, row), value(column + 1, row), value(column, row + 1), value(column + 1, row + 1)]
    }
    .map(u32::from);
    let top = a * (256 - right) + b * right;
    let bottom = c * (256 - right) + d * right;
    ((top * (256 - below) + bottom * below + (1 << 15)) >> 16) as u8
}

/// The new value of each old one; values that leave 0..255 are clipped.
fn tone_curve(augmentation: &Augmentation, random: &mut Random) -> [u8; 256] {
    let contrast = 1.0 + spread(random, augmentation.contrast);
    let brightness = spread(random, augmentation.brightness) * 255.0;
    // `as` saturates, which is the clipping.
    std::array::from_fn(|value| ((value as f64 - 127.5) * contrast + 127.5 + brightness).round() as u8)
}
