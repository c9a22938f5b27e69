//! JPEG-LS (T.87) of one component, lossless and near-lossless: each sample predicted from its neighbours and corrected
//! by what their context has learned, flat stretches as runs.

use super::DicomProblem;
use super::jpeg::{Frame, segments};
use super::samples::Samples;
use crate::{Budget, ImageProblem};

const fn broken(problem: &'static str) -> DicomProblem {
    DicomProblem::Broken { coding: "JPEG-LS", problem }
}

/// Lengths of runs, as powers of two, by how the runs before went (A.7.1.2).
const RUNS: [u32; 32] =
    [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15];
/// Regular contexts; two more are of samples that end a run.
const CONTEXTS: usize = 365;

/// The samples of the one scan.
pub(super) fn decode(bytes: &[u8], frame: &Frame, budget: &Budget) -> Result<Samples<'static>, ImageProblem> {
    let mut preset = [0; 5];
    let mut scan = None;
    for segment in segments(bytes) {
        let (marker, body, after) = segment?;
        match (marker, body) {
            (0xF8, [1, values @ ..]) if values.len() == 10 => {
                let values = values.as_chunks::<2>().0;
                preset = std::array::from_fn(|i| u16::from_be_bytes(values[i]).into());
            }
            (0xF8, _) | (0xDD, _) => {
                return Err(DicomProblem::Syntax("JPEG-LS with tables or restarts".to_owned()).into());
            }
            (0xDA, &[1, _, 0, near, 0, 0]) => scan = Some((near, after)),
            (0xDA, _) => {
                return Err(DicomProblem::Syntax("JPEG-LS in colour or with a mapping".to_owned()).into());
            }
            _ => {}
        }
    }
    let (near, scan) = scan.ok_or(broken("it has no scan"))?;
    let parameters =
        Parameters::new(frame.bits, near.into(), preset).ok_or(broken("its parameters make no sense"))?;
    let mut decoder = Decoder::new(&parameters, scan);
    let width = frame.width as usize;
    // One sample more on either side than a row has.
    let (mut above, mut row) = (vec![0; width + 2], vec![0; width + 2]);
    let mut words = Vec::with_capacity(width * frame.height as usize);
    for _ in 0..frame.height {
        budget.check_time()?;
        decoder.row(&above, &mut row)?;
        words.extend(row[1..=width].iter().map(|&sample| sample as u16));
        std::mem::swap(&mut above, &mut row);
    }
    Ok(Samples::of_words(&words))
}

struct Parameters {
    white: i32,
    near: i32,
    thresholds: [i32; 3],
    reset: i32,
    range: i32,
    /// Bits of a value in the range, and of the longest code.
    bits: u32,
    limit: u32,
}

impl Parameters {
    /// Defaults of C.2.4.1.1 where the file does not say.
    fn new(bits: u8, near: i32, preset: [i32; 5]) -> Option<Self> {
        if !(2..=16).contains(&bits) {
            return None;
        }
        let or = |said: i32, default: i32| if said == 0 { default } else { said };
        let white = or(preset[0], (1 << bits) - 1);
        if white >= 1 << bits || near > white.min(510) / 2 {
            return None;
        }
        let clamp = |value: i32, least: i32| if value > white || value < least { least } else { value };
        let basic = match white {
            128.. => {
                let factor = (white.min(4095) + 128) / 256;
                [factor + 2 + 3 * near, factor * 4 + 3 + 5 * near, factor * 17 + 4 + 7 * near]
            }
            _ => {
                let factor = 256 / (white + 1);
                [
                    (3 / factor + 3 * near).max(2),
                    (7 / factor + 5 * near).max(3),
                    (21 / factor + 7 * near).max(4),
                ]
            }
        };
        let first = or(preset[1], clamp(basic[0], near + 1));
        let second = or(preset[2], clamp(basic[1], first));
        let third = or(preset[3], clamp(basic[2], second));
        let is_ordered = near < first && first <= second && second <= third && third <= white;
        let reset = or(preset[4], 64);
        if !is_ordered || !(3..=255).contains(&reset) {
            return None;
        }
        let range = (white + 2 * near) / (2 * near + 1) + 1;
        let length = |values: i32| 32 - (values - 1).leading_zeros();
        let sample = length(white + 1).max(2);
        let limit = 2 * (sample + sample.max(8));
        Some(Parameters {
            white,
            near,
            thresholds: [first, second, third],
            reset,
            range,
            bits: length(range),
            limit,
        })
    }

    fn quantise(&self, gradient: i32) -> i32 {
        let [first, second, third] = self.thresholds;
        let size = gradient.abs();
        let level = match size {
            _ if size <= self.near => 0,
            _ if size < first => 1,
            _ if size < second => 2,
            _ if size < third => 3,
            _ => 4,
        };
        level * gradient.signum()
    }

    /// The sample at this distance from what was predicted (A.4.5).
    fn reconstruct(&self, predicted: i32, error: i32) -> i32 {
        let step = 2 * self.near + 1;
        let sample = predicted + error * step;
        let wrapped = match sample {
            _ if sample < -self.near => sample + self.range * step,
            _ if sample > self.white + self.near => sample - self.range * step,
            _ => sample,
        };
        wrapped.clamp(0, self.white)
    }
}

/// What was learned where samples look alike (A.2.1).
#[derive(Clone, Copy)]
struct Context {
    /// Sum of errors' sizes.
    size: i32,
    /// Sum of errors.
    bias: i32,
    correction: i32,
    count: i32,
    /// Negative errors, of samples that end a run.
    negative: i32,
}

impl Context {
    /// The parameter of the code (A.5.1).
    fn parameter(&self, size: i32) -> u32 {
        (0..22).find(|&k| self.count << k >= size).unwrap_or(22)
    }

    fn halve(&mut self, reset: i32) {
        if self.count == reset {
            self.size >>= 1;
            self.bias >>= 1;
            self.count >>= 1;
            self.negative >>= 1;
        }
        self.count += 1;
    }

    /// A.6.
    fn learn(&mut self, error: i32, parameters: &Parameters) {
        self.bias += error * (2 * parameters.near + 1);
        self.size += error.abs();
        self.halve(parameters.reset);
        if self.bias <= -self.count {
            self.bias = (self.bias + self.count).max(1 - self.count);
            self.correction = (self.correction - 1).max(-128);
        } else if self.bias > 0 {
            self.bias = (self.bias - self.count).min(0);
            self.correction = (self.correction + 1).min(127);
        }
    }
}

struct Decoder<'a> {
    parameters: &'a Parameters,
    bits: Bits<'a>,
    contexts: Vec<Context>,
    run: usize,
}

impl<'a> Decoder<'a> {
    fn new(parameters: &'a Parameters, scan: &'a [u8]) -> Self {
        let size = ((parameters.range + 32) / 64).max(2);
        let context = Context { size, bias: 0, correction: 0, count: 1, negative: 0 };
        Decoder { parameters, bits: Bits::new(scan), contexts: vec![context; CONTEXTS + 2], run: 0 }
    }

    /// Decodes into `row[1..=width]`; the samples on either side repeat those of the row above.
    fn row(&mut self, above: &[i32], row: &mut [i32]) -> Result<(), DicomProblem> {
        let width = row.len() - 2;
        row[0] = above[1];
        let mut x = 1;
        while x <= width {
            let [a, b, c] = [row[x - 1], above[x], above[x - 1]];
            let d = if x == width { b } else { above[x + 1] };
            let [q1, q2, q3] = [d - b, b - c, c - a].map(|gradient| self.parameters.quantise(gradient));
            let context = 81 * q1 + 9 * q2 + q3;
            if context == 0 {
                x = self.run(x, above, row)?;
            } else {
                row[x] = self.regular(context, [a, b, c])?;
                x += 1;
            }
        }
        Ok(())
    }

    fn regular(&mut self, context: i32, [a, b, c]: [i32; 3]) -> Result<i32, DicomProblem> {
        let parameters = self.parameters;
        let sign = context.signum();
        let context = &mut self.contexts[context.unsigned_abs() as usize];
        let predicted = match c {
            _ if c >= a.max(b) => a.min(b),
            _ if c <= a.min(b) => a.max(b),
            _ => a + b - c,
        };
        let predicted = (predicted + sign * context.correction).clamp(0, parameters.white);
        let k = context.parameter(context.size);
        let code = self.bits.golomb(k, parameters.limit, parameters.bits)?;
        let half = code >> 1;
        let flipped = parameters.near == 0 && k == 0 && 2 * context.bias <= -context.count;
        let error = if (code & 1 == 1) == flipped { half } else { -half - 1 };
        context.learn(error, parameters);
        Ok(parameters.reconstruct(predicted, sign * error))
    }

    /// A run from `x` on, and the sample that ends it; where to go on.
    fn run(&mut self, mut x: usize, above: &[i32], row: &mut [i32]) -> Result<usize, DicomProblem> {
        let width = row.len() - 2;
        let sample = row[x - 1];
        while self.bits.take(1)? == 1 {
            let whole = 1 << RUNS[self.run];
            let length = whole.min(width + 1 - x);
            row[x..x + length].fill(sample);
            x += length;
            if length == whole {
                self.run = (self.run + 1).min(RUNS.len() - 1);
            }
            if x > width {
                return Ok(x);
            }
        }
        let length = self.bits.take(RUNS[self.run])? as usize;
        if x + length > width {
            return Err(broken("a run is longer than its row"));
        }
        row[x..x + length].fill(sample);
        x += length;
        row[x] = self.end_of_run(sample, above[x])?;
        self.run = self.run.saturating_sub(1);
        Ok(x + 1)
    }

    /// A.7.2.
    fn end_of_run(&mut self, a: i32, b: i32) -> Result<i32, DicomProblem> {
        let parameters = self.parameters;
        let alike = i32::from((a - b).abs() <= parameters.near);
        let context = &mut self.contexts[CONTEXTS + alike as usize];
        let (predicted, sign) = match alike {
            1 => (a, 1),
            _ => (b, if a > b { -1 } else { 1 }),
        };
        let k = context.parameter(context.size + alike * (context.count >> 1));
        let limit = parameters.limit - RUNS[self.run] - 1;
        let code = self.bits.golomb(k, limit, parameters.bits)?;
        let (odd, size) = ((code + alike) & 1, (code + alike + 1) >> 1);
        let is_negative = (k != 0 || 2 * context.negative >= context.count) == (odd == 1);
        let error = if is_negative { -size } else { size };
        context.negative += i32::from(error < 0);
        context.size += (code + 1 - alike) >> 1;
        context.halve(parameters.reset);
        Ok(parameters.reconstruct(predicted, sign * error))
    }
}

/// Bits from the highest of each byte on; after a byte of ones the next has only seven.
struct Bits<'a> {
    rest: &'a [u8],
    held: u64,
    count: u32,
    after_ones: bool,
}

impl<'a> Bits<'a> {
    fn new(scan: &'a [u8]) -> Self {
        Bits { rest: scan, held: 0, count: 0, after_ones: false }
    }

    fn fill(&mut self) {
        while self.count <= 48 {
            let Some((&byte, rest)) = self.rest.split_first() else { return };
            if self.after_ones && byte >= 0x80 {
                return; // a marker
            }
            let bits = if self.after_ones { 7 } else { 8 };
            self.held = self.held << bits | u64::from(byte);
            self.count += bits;
            self.after_ones = byte == 0xFF;
            self.rest = rest;
        }
    }

    fn take(&mut self, bits: u32) -> Result<u32, DicomProblem> {
        if self.count < bits {
            self.fill();
        }
        self.count = self.count.checked_sub(bits).ok_or(broken("its data end early"))?;
        Ok((self.held >> self.count & ((1 << bits) - 1)) as u32)
    }

    /// A code of limited length (A.5.3).
    fn golomb(&mut self, k: u32, limit: u32, bits: u32) -> Result<i32, DicomProblem> {
        let longest = limit.saturating_sub(bits + 1);
        let mut zeros = 0;
        while zeros < longest && self.take(1)? == 0 {
            zeros += 1;
        }
        if zeros < longest {
            let code = u64::from(zeros) << k | u64::from(self.take(k)?);
            return i32::try_from(code)
                .ok()
                .filter(|&code| code < 1 << 18)
                .ok_or(broken("a value is too large"));
        }
        if self.take(1)? == 0 {
            return Err(broken("a code is too long"));
        }
        Ok(self.take(bits)? as i32 + 1)
    }
}
