//! Random changes of a training image that keep its findings: small rotations, shifts, zooms, tone changes.

use serde::{Deserialize, Serialize};
use xray_random::Random;

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

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: u32 = 24;

    /// A blob off the centre on a gradient: no symmetry hides a mistake.
    fn picture() -> Vec<u8> {
        let value = |x: f64, y: f64| {
            let blob = (-((x - 8.0).powi(2) + (y - 13.0).powi(2)) / 18.0).exp();
            (40.0 + 3.0 * x + y + 100.0 * blob) as u8
        };
        (0..SIDE * SIDE).map(|i| value(f64::from(i % SIDE), f64::from(i / SIDE))).collect()
    }

    fn augmented(settings: &Augmentation, seed: u64, epoch: u64, key: u64) -> Vec<u8> {
        let mut out = vec![0; (SIDE * SIDE) as usize];
        augment(&picture(), SIDE, settings, seed, epoch, key, &mut out);
        out
    }

    fn only(change: impl Fn(&mut Augmentation)) -> Augmentation {
        let mut settings = Augmentation::NONE;
        change(&mut settings);
        settings
    }

    #[test]
    fn no_setting_no_change() {
        for key in 0..20 {
            assert_eq!(augmented(&Augmentation::NONE, 1, 2, key), picture());
        }
    }

    #[test]
    fn the_result_depends_on_the_arguments_and_on_all_of_them() {
        let settings = Augmentation::default();
        let first = augmented(&settings, 1, 2, 3);
        assert_eq!(augmented(&settings, 1, 2, 3), first);
        assert_ne!(first, picture());
        for (seed, epoch, key) in [(0, 2, 3), (1, 0, 3), (1, 2, 0), (2, 1, 3)] {
            assert_ne!(augmented(&settings, seed, epoch, key), first, "{seed} {epoch} {key}");
        }
    }

    #[test]
    fn half_of_the_images_are_mirrored_exactly() {
        let mirror: Vec<u8> = picture()
            .chunks(SIDE as usize)
            .flat_map(|row| row.iter().rev().copied().collect::<Vec<_>>())
            .collect();
        let results: Vec<_> = (0..400).map(|key| augmented(&only(|s| s.flip = true), 1, 1, key)).collect();
        let mirrored = results.iter().filter(|&result| *result == mirror).count();
        let kept = results.iter().filter(|&result| *result == picture()).count();
        assert_eq!(mirrored + kept, 400);
        assert!((160..240).contains(&mirrored), "{mirrored} of 400");
    }

    #[test]
    fn a_quarter_turn_moves_rows_to_columns() {
        let side = SIDE as usize;
        let last = side as f64 - 1.0;
        // out(row, column) = in(row: column, column: last - row)
        let quarter = Affine { xx: 0.0, xy: -1.0, x0: last, yx: 1.0, yy: 0.0, y0: 0.0 };
        let (source, mut out) = (picture(), vec![0; side * side]);
        resample(&source, side, &quarter, &mut out);
        for (i, &pixel) in out.iter().enumerate() {
            let (row, column) = (i / side, i % side);
            assert_eq!(pixel, source[column * side + side - 1 - row]);
        }
    }

    #[test]
    fn drawn_transforms_stay_within_the_settings_and_reach_far() {
        let settings = only(|s| {
            s.rotation_degrees = 10.0;
            s.shift_fraction = 0.1;
            s.scale_fraction = 0.2;
        });
        let (mut angles, mut scales, mut shifts) = (vec![], vec![], vec![]);
        for key in 0..500 {
            let affine = Affine::draw(&settings, &mut Random::keyed(&[key]), 100);
            angles.push(affine.xy.atan2(affine.xx).to_degrees());
            scales.push(1.0 / affine.xx.hypot(affine.xy));
            let centre = 49.5;
            shifts.push(affine.xx * centre + affine.xy * centre + affine.x0 - centre);
            shifts.push(affine.yx * centre + affine.yy * centre + affine.y0 - centre);
        }
        let check = |values: &[f64], low: f64, high: f64| {
            let (min, max) = values.iter().fold((f64::MAX, f64::MIN), |(a, b), &v| (a.min(v), b.max(v)));
            let margin = (high - low) * 0.03;
            assert!(min >= low - 1e-9 && min < low + margin, "{min} {low}");
            assert!(max <= high + 1e-9 && max > high - margin, "{max} {high}");
        };
        check(&angles, -10.0, 10.0);
        check(&scales, 1.0 / 1.2, 1.2);
        check(&shifts, -10.0, 10.0);
    }

    #[test]
    fn bilinear_weights_are_those_of_the_four_neighbours() {
        let pixels = [0, 100, 200, 40];
        let at = |x: f64, y: f64| bilinear(&pixels, 2, (x * 65536.0) as i64, (y * 65536.0) as i64);
        let check = |x, y, expected: u8| assert_eq!(at(x, y), expected, "{x} {y}");
        check(0.0, 0.0, 0);
        check(1.0, 0.0, 100);
        check(1.0, 1.0, 40);
        check(0.5, 0.0, 50);
        check(0.25, 0.5, 93); // 25 above, 160 below
        check(0.5, 0.5, 85);
        check(-0.5, 1.0, 100); // half outside
        check(1.5, 1.0, 20);
        check(-1.0, 0.0, 0);
        check(5.0, 5.0, 0);
    }

    #[test]
    fn tones_change_as_set() {
        let brighter = augmented(&only(|s| s.brightness = 0.2), 1, 1, 5);
        let change = |out: &[u8]| {
            out.iter().zip(picture()).map(|(&a, b)| i32::from(a) - i32::from(b)).collect::<Vec<_>>()
        };
        let shift = change(&brighter);
        assert!(shift.iter().all(|&d| d == shift[0]) && shift[0] != 0 && shift[0].abs() <= 51, "{shift:?}");
        let slope = change(&augmented(&only(|s| s.contrast = 0.5), 1, 1, 5));
        for (change, pixel) in slope.iter().zip(picture()) {
            let outward = f64::from(*change) * (f64::from(pixel) - 127.5);
            let first = f64::from(slope[0]) * (f64::from(picture()[0]) - 127.5);
            assert!(outward * first >= 0.0, "contrast moves every pixel away from gray, or every one to it");
        }
        assert!(slope.iter().any(|&d| d != 0));
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let check = |change: fn(&mut Augmentation), expected: Option<&str>| {
            assert_eq!(only(change).validate().err().map(|problem| problem.name), expected);
        };
        assert_eq!(Augmentation::default().validate(), Ok(()));
        check(|_| {}, None);
        check(|s| s.rotation_degrees = 181.0, Some("rotation_degrees"));
        check(|s| s.shift_fraction = -0.1, Some("shift_fraction"));
        check(|s| s.scale_fraction = f32::NAN, Some("scale_fraction"));
        check(|s| s.brightness = f32::INFINITY, Some("brightness"));
        check(|s| s.contrast = 1.5, Some("contrast"));
    }

    #[test]
    fn settings_are_read_with_defaults_and_without_strangers() {
        let settings: Augmentation = toml::from_str("rotation_degrees = 2.0").expect("a known setting");
        assert_eq!(settings, Augmentation { rotation_degrees: 2.0, ..Augmentation::default() });
        assert!(toml::from_str::<Augmentation>("rotation = 2.0").is_err());
    }
}
