//! Noise that is a function of place: the lungs' markings, mottled shadows, the grain of the film.

use xray_random::Random;

/// Smooth random values over the plane, between -1 and 1, one independent value per unit of length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Texture(u64);

impl Texture {
    pub(super) fn new(random: &mut Random) -> Self {
        Texture(random.bits())
    }

    /// Value noise [Perlin's idea with values for gradients]: random numbers at whole places, blended.
    pub(super) fn at(self, x: f32, y: f32) -> f32 {
        let (left, top) = (x.floor(), y.floor());
        let (across, down) = (ease(x - left), ease(y - top));
        let corner = |dx: i32, dy: i32| self.lattice(left as i32 + dx, top as i32 + dy);
        let upper = corner(0, 0) + (corner(1, 0) - corner(0, 0)) * across;
        let lower = corner(0, 1) + (corner(1, 1) - corner(0, 1)) * across;
        upper + (lower - upper) * down
    }

    /// Two octaves, coarse and fine.
    pub(super) fn mottle(self, x: f32, y: f32) -> f32 {
        0.65 * self.at(x, y) + 0.35 * self.at(x * 2.3 + 17.0, y * 2.3 - 5.0)
    }

    /// Thin branching lines: one on the lines where smooth noise crosses zero, falling off to both sides.
    pub(super) fn lines(self, x: f32, y: f32, sharpness: f32) -> f32 {
        (1.0 - sharpness * self.at(x, y).abs()).max(0.0)
    }

    fn lattice(self, x: i32, y: i32) -> f32 {
        let place = (x as u32 as u64) << 32 | u64::from(y as u32);
        let mut z = (self.0 ^ place).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 29)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// From 0 to 1 with flat ends.
fn ease(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

/// Zero below `-width`, one above `width`, smooth between: a soft edge at zero.
pub(super) fn edge(distance: f32, width: f32) -> f32 {
    ease((distance / width * 0.5 + 0.5).clamp(0.0, 1.0))
}

/// One at zero, falling off like a bell over `width`, and exactly zero beyond twice that.
pub(super) fn bump(distance: f32, width: f32) -> f32 {
    let t = 1.0 - (distance / (2.0 * width)).powi(2);
    if t > 0.0 { t * t * t } else { 0.0 }
}

/// A normal draw with mean 0 and deviation 1, from the sum of four uniform ones (none beyond 3.5).
pub(super) fn normal(random: &mut Random) -> f32 {
    let bits = random.bits();
    let sum: u64 = (0..4).map(|i| bits >> (16 * i) & 0xFFFF).sum();
    (sum as f32 / 65536.0 - 2.0) * 3.0_f32.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_smooth_bounded_and_repeatable() {
        let texture = Texture::new(&mut Random::keyed(&[1]));
        let mut values = vec![];
        for i in 0..4000 {
            let (x, y) = (i as f32 * 0.01 - 20.0, i as f32 * 0.007);
            let value = texture.at(x, y);
            assert!((-1.0..=1.0).contains(&value));
            assert_eq!(value, texture.at(x, y));
            assert!((texture.at(x + 0.001, y) - value).abs() < 0.01, "a jump at {x} {y}");
            values.push(value);
        }
        let mean: f32 = values.iter().sum::<f32>() / values.len() as f32;
        assert!(mean.abs() < 0.2, "{mean}");
        assert!(values.iter().any(|v| *v > 0.5) && values.iter().any(|v| *v < -0.5));
    }

    #[test]
    fn normal_draws_have_mean_zero_and_deviation_one() {
        let mut random = Random::keyed(&[2]);
        let draws: Vec<f32> = (0..50_000).map(|_| normal(&mut random)).collect();
        let mean = draws.iter().sum::<f32>() / 5e4;
        let deviation = (draws.iter().map(|x| x * x).sum::<f32>() / 5e4).sqrt();
        assert!(mean.abs() < 0.02 && (deviation - 1.0).abs() < 0.02, "{mean} {deviation}");
    }

    #[test]
    fn soft_shapes_have_their_ends() {
        assert_eq!((edge(-2.0, 1.0), edge(0.0, 1.0), edge(2.0, 1.0)), (0.0, 0.5, 1.0));
        assert_eq!((bump(0.0, 1.0), bump(2.0, 1.0), bump(-3.0, 1.0)), (1.0, 0.0, 0.0));
    }
}
