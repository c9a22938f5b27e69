//! Eight blocks side by side: their coefficients, and the inverse DCT that turns them into pixels.
//!
//! The transform is libjpeg's `islow` [Loeffler, Ligtenberg and Moschytz 1989, in 13-bit fixed point], with the
//! same roundings, so that the pixels are the same. Its sums of products are multiplied out, as in
//! libjpeg-turbo's vector code: then every factor fits 16 bits, which vector units multiply fastest, and the
//! result does not change.

/// Blocks transformed at once, one to a vector lane.
pub(super) const LANES: usize = 8;

/// Where the coefficient at each zigzag place lies in a block, row by row.
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Where a coefficient goes, and what it is multiplied by.
#[derive(Clone, Copy, Default)]
pub(super) struct Step {
    place: u16,
    quantum: u16,
}

/// The steps of a quantisation table, which is in zigzag order. Twice as many as are needed: a corrupt block may
/// go a little too far before it is noticed, and then writes to the first coefficient.
pub(super) fn steps(quantisation: &[u16; 64]) -> [Step; 128] {
    let step = |i: usize| Step { place: ZIGZAG[i].into(), quantum: quantisation[i] };
    std::array::from_fn(|i| if i < 64 { step(i) } else { Step::default() })
}

/// Coefficients of eight blocks: those of one place side by side.
pub(super) struct Blocks {
    coefficients: [i16; 64 * LANES],
    /// Bit `8 * row + column` is set when some block has that coefficient.
    used: u64,
}

impl Default for Blocks {
    fn default() -> Self {
        Blocks { coefficients: [0; 64 * LANES], used: 0 }
    }
}

impl Blocks {
    /// Makes every coefficient zero.
    pub(super) fn clear(&mut self) {
        *self = Blocks::default();
    }

    /// Sets a coefficient of block `lane`, dequantised; returns what to [`Blocks::mark`]: nothing for zero.
    #[inline(always)]
    pub(super) fn set(&mut self, step: Step, lane: usize, value: i32) -> u64 {
        let place = usize::from(step.place % 64);
        // Wraps for nonsense only: 8-bit samples have coefficients of 12 bits.
        self.coefficients[place * LANES + lane % LANES] = value.wrapping_mul(i32::from(step.quantum)) as i16;
        u64::from(value != 0) << place
    }

    /// Remembers that these coefficients are not zero.
    #[inline(always)]
    pub(super) fn mark(&mut self, used: u64) {
        self.used |= used;
    }

    /// Writes the pixels of the eight blocks to `strip`, as its `group`-th eight.
    pub(super) fn transform(&self, strip: &mut Strip, group: usize) {
        let mut columns = [0_i16; 64 * LANES];
        // Most coefficients of high frequency are zero in all eight blocks; half of the terms then vanish.
        const LOWER_ROWS: u64 = 0xFFFF_FFFF_0000_0000;
        const COLUMN: u64 = 0x0101_0101_0101_0101;
        for column in 0..8 {
            let used = self.used & (COLUMN << column);
            if used == 0 {
                continue;
            }
            let lanes = column * LANES;
            if used & LOWER_ROWS == 0 {
                pass::<true, FIRST, { 8 * LANES }>(&self.coefficients[lanes..], &mut columns[lanes..]);
            } else {
                pass::<false, FIRST, { 8 * LANES }>(&self.coefficients[lanes..], &mut columns[lanes..]);
            }
        }
        let right = self.used & (COLUMN << 4 | COLUMN << 5 | COLUMN << 6 | COLUMN << 7);
        for row in 0..8 {
            let lanes = row * 8 * LANES;
            let mut pixels = [0_i16; 8 * LANES];
            if right == 0 {
                pass::<true, SECOND, LANES>(&columns[lanes..], &mut pixels);
            } else {
                pass::<false, SECOND, LANES>(&columns[lanes..], &mut pixels);
            }
            strip.put(row, group, &pixels);
        }
    }
}

/// Fraction bits of the constants.
const CONST_BITS: i32 = 13;
/// Bits dropped after the columns; two of fraction remain.
const FIRST: i32 = CONST_BITS - 2;
/// Bits dropped after the rows: what remained, and the transform's factor of eight.
const SECOND: i32 = CONST_BITS + 2 + 3;

// The cosines of the paper, times 2^13.
const F_0_298: i32 = 2446;
const F_0_390: i32 = 3196;
const F_0_541: i32 = 4433;
const F_0_765: i32 = 6270;
const F_0_899: i32 = 7373;
const F_1_175: i32 = 9633;
const F_1_501: i32 = 12299;
const F_1_847: i32 = 15137;
const F_1_961: i32 = 16069;
const F_2_053: i32 = 16819;
const F_2_562: i32 = 20995;
const F_3_072: i32 = 25172;

/// One-dimensional transforms of eight lanes. The k-th term lies at `k * STRIDE`. `HALF`: terms 4 to 7 are
/// zero. Values that leave 16 bits, which real images do not have, are clipped.
#[inline(always)]
fn pass<const HALF: bool, const SHIFT: i32, const STRIDE: usize>(terms: &[i16], out: &mut [i16]) {
    let terms = &terms[..7 * STRIDE + LANES];
    let out = &mut out[..7 * STRIDE + LANES];
    for lane in 0..LANES {
        let term = |k: usize| if HALF && k > 3 { 0 } else { i32::from(terms[k * STRIDE + lane]) };
        let (x0, x1, x2, x3) = (term(0), term(1), term(2), term(3));
        let (x4, x5, x6, x7) = (term(4), term(5), term(6), term(7));

        let even_2 = x2 * F_0_541 + x6 * (F_0_541 - F_1_847);
        let even_3 = x2 * (F_0_541 + F_0_765) + x6 * F_0_541;
        let (even_0, even_1) = ((x0 + x4) << CONST_BITS, (x0 - x4) << CONST_BITS);
        let round = 1 << (SHIFT - 1);
        let (t10, t13) = (even_0 + even_3 + round, even_0 - even_3 + round);
        let (t11, t12) = (even_1 + even_2 + round, even_1 - even_2 + round);

        let dot = |a: i32, b: i32, c: i32, d: i32| x1 * a + x3 * b + x5 * c + x7 * d;
        let t0 = dot(F_1_175 - F_0_899, F_1_175 - F_1_961, F_1_175, F_0_298 - F_0_899 + F_1_175 - F_1_961);
        let t1 = dot(F_1_175 - F_0_390, F_1_175 - F_2_562, F_2_053 - F_2_562 + F_1_175 - F_0_390, F_1_175);
        let t2 = dot(F_1_175, F_3_072 - F_2_562 + F_1_175 - F_1_961, F_1_175 - F_2_562, F_1_175 - F_1_961);
        let t3 = dot(F_1_501 - F_0_899 + F_1_175 - F_0_390, F_1_175, F_1_175 - F_0_390, F_1_175 - F_0_899);

        let mut put = |k: usize, value: i32| {
            out[k * STRIDE + lane] = (value >> SHIFT).clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        };
        put(0, t10 + t3);
        put(7, t10 - t3);
        put(1, t11 + t2);
        put(6, t11 - t2);
        put(2, t12 + t1);
        put(5, t12 - t1);
        put(3, t13 + t0);
        put(4, t13 - t0);
    }
}

/// Eight rows of pixels, as wide as a whole number of eight blocks.
pub(super) struct Strip {
    width: usize,
    pixels: Vec<u8>,
}

impl Strip {
    /// Room for `groups` times eight blocks.
    pub(super) fn new(groups: usize) -> Self {
        let width = groups * 8 * LANES;
        Strip { width, pixels: vec![0; 8 * width] }
    }

    /// The pixels of `row`, 0 to 7.
    pub(super) fn row(&self, row: usize) -> &[u8] {
        &self.pixels[row * self.width..][..self.width]
    }

    /// Writes one row of eight blocks: `values` come column by column, a lane per block, centred on zero.
    fn put(&mut self, row: usize, group: usize, values: &[i16; 8 * LANES]) {
        let bytes = values.map(|value| (value + 128).clamp(0, 255) as u8);
        let mut columns: [u64; 8] = std::array::from_fn(|column| {
            u64::from_le_bytes(std::array::from_fn(|lane| bytes[column * LANES + lane]))
        });
        transpose(&mut columns);
        let row = &mut self.pixels[row * self.width + group * 8 * LANES..][..8 * LANES];
        for (out, block) in row.chunks_exact_mut(8).zip(columns) {
            out.copy_from_slice(&block.to_le_bytes());
        }
    }
}

/// Transposes eight by eight bytes, each number a row: swaps ever smaller squares across the diagonal.
fn transpose(rows: &mut [u64; 8]) {
    let mut swap = |distance: usize, mask: u64| {
        for upper in (0..8).filter(|row| row & distance == 0) {
            let lower = upper + distance;
            let shift = 8 * distance as u32;
            let changed = ((rows[upper] >> shift) ^ rows[lower]) & mask;
            rows[lower] ^= changed;
            rows[upper] ^= changed << shift;
        }
    };
    swap(4, 0x0000_0000_FFFF_FFFF);
    swap(2, 0x0000_FFFF_0000_FFFF);
    swap(1, 0x00FF_00FF_00FF_00FF);
}

#[cfg(test)]
mod tests {
    use super::*;
    use xray_random::Random;

    /// The inverse DCT by its definition [T.81, A.3.3].
    fn reference(block: &[i16; 64]) -> [f64; 64] {
        let scale = |k: usize| if k == 0 { 0.5_f64.sqrt() } else { 1.0 };
        let cosine = |x: usize, k: usize| ((2 * x + 1) as f64 * k as f64 * std::f64::consts::PI / 16.0).cos();
        std::array::from_fn(|i| {
            let (y, x) = (i / 8, i % 8);
            let term = |k: usize| {
                let (v, u) = (k / 8, k % 8);
                scale(u) * scale(v) * f64::from(block[k]) * cosine(x, u) * cosine(y, v)
            };
            (0..64).map(term).sum::<f64>() / 4.0 + 128.0
        })
    }

    /// Random blocks that use only the coefficients in `used`.
    fn check(used: u64, seed: u64) {
        let mut random = Random::keyed(&[seed]);
        let mut blocks = Blocks::default();
        let mut lanes = [[0_i16; 64]; LANES];
        for (place, &natural) in ZIGZAG.iter().enumerate().filter(|(_, at)| used >> **at & 1 == 1) {
            for (lane, block) in lanes.iter_mut().enumerate() {
                let value = random.between(-60.0, 60.0) as i32;
                block[usize::from(natural)] = (value * 3) as i16;
                let used = blocks.set(steps(&[3; 64])[place], lane, value);
                blocks.mark(used);
            }
        }
        let mut strip = Strip::new(1);
        blocks.transform(&mut strip, 0);
        for (lane, block) in lanes.iter().enumerate() {
            let expected = reference(block);
            for row in 0..8 {
                for column in 0..8 {
                    let (got, want) = (strip.row(row)[lane * 8 + column], expected[row * 8 + column]);
                    let difference = (f64::from(got) - want.clamp(0.0, 255.0)).abs();
                    assert!(difference < 1.0, "lane {lane}, {row},{column}: {got} not {want}");
                }
            }
        }
    }

    #[test]
    fn the_transform_is_the_inverse_dct_whatever_is_zero() {
        let upper_left = 0x0000_0000_0F0F_0F0F;
        for (seed, used) in
            [u64::MAX, 1, upper_left, 0x0F0F_0F0F_0F0F_0F0F, 0xFFFF_FFFF, 1 << 63, 0].into_iter().enumerate()
        {
            check(used, seed as u64);
        }
        for shift in 0..64 {
            check(1 << shift, 100 + shift);
        }
    }

    #[test]
    fn transposing_swaps_rows_and_columns() {
        let mut rows: [u64; 8] = std::array::from_fn(|row| {
            u64::from_le_bytes(std::array::from_fn(|column| (row * 8 + column) as u8))
        });
        transpose(&mut rows);
        for (row, value) in rows.iter().enumerate() {
            assert_eq!(
                value.to_le_bytes(),
                std::array::from_fn::<u8, 8, _>(|column| (column * 8 + row) as u8)
            );
        }
    }
}
