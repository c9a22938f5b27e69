//! JPEG-LS (T.87), lossless and near-lossless, gray or in colours: each sample predicted from its neighbours and corrected
//! by what their context has learned, flat stretches as runs.

use super::DicomProblem;
use super::jpeg::{Frame, segment};
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

/// The samples of all scans: each of one component, or of several in lines or sample by sample.
pub(super) fn decode(bytes: &[u8], frame: &Frame, budget: &Budget) -> Result<Samples<'static>, ImageProblem> {
    if frame.subsampled {
        return Err(DicomProblem::Syntax("JPEG-LS with fewer samples of some colours".to_owned()).into());
    }
    let count = frame.components.len();
    let mut words = vec![0; frame.width as usize * frame.height as usize * count];
    let mut is_missing = vec![true; count];
    let mut preset = [0; 5];
    let mut rest = bytes.get(2..).unwrap_or_default();
    while is_missing.contains(&true) {
        let (marker, body, after) = segment(rest).ok_or(broken("its headers are cut off"))?;
        rest = after;
        match (marker, body) {
            (0xF8, [1, values @ ..]) if values.len() == 10 => {
                let values = values.as_chunks::<2>().0;
                preset = std::array::from_fn(|i| u16::from_be_bytes(values[i]).into());
            }
            (0xF8, _) | (0xDD, _) => {
                return Err(DicomProblem::Syntax("JPEG-LS with tables or restarts".to_owned()).into());
            }
            // What HP's encoder did to colours, which DICOM does not allow.
            (0xE8, [b'm', b'r', b'f', b'x', transform, ..]) if *transform != 0 => {
                return Err(DicomProblem::Syntax("JPEG-LS with transformed colours".to_owned()).into());
            }
            (0xDA, _) => {
                let scan = Scan::read(body, frame)?;
                for &place in &scan.places {
                    if !std::mem::replace(&mut is_missing[place], false) {
                        return Err(broken("a component is in two scans").into());
                    }
                }
                let parameters = Parameters::new(frame.bits, scan.near, preset)
                    .ok_or(broken("its parameters make no sense"))?;
                let decoder = Decoder::new(&parameters, after);
                scan.decode(decoder, frame, &mut words, budget)?;
                // A byte of ones is followed by a zero bit in the data.
                let end = after.windows(2).position(|pair| pair[0] == 0xFF && pair[1] >= 0x80);
                rest = &after[end.unwrap_or(after.len())..];
            }
            _ => {}
        }
    }
    Ok(Samples::of_words(&words))
}

/// What a scan holds.
struct Scan {
    /// Places of its components in the frame.
    places: Vec<usize>,
    near: i32,
    /// Components alternate sample by sample, not line by line.
    by_samples: bool,
}

impl Scan {
    fn read(body: &[u8], frame: &Frame) -> Result<Scan, DicomProblem> {
        let other = || DicomProblem::Syntax("JPEG-LS with a mapping".to_owned());
        let cut = broken("a scan header makes no sense");
        let (&count, rest) = body.split_first().ok_or(cut.clone())?;
        let (parts, rest) = rest.split_at_checked(2 * usize::from(count)).ok_or(cut.clone())?;
        let &[near, interleaved, 0] = rest else { return Err(other()) };
        let by_samples = match (count, interleaved) {
            (1, 0) | (2.., 1) => false,
            (2.., 2) => true,
            _ => return Err(cut),
        };
        let mut places = Vec::new();
        for &[name, mapping] in parts.as_chunks::<2>().0 {
            let place = frame.components.iter().position(|&(known, _)| known == name).ok_or(cut.clone())?;
            if mapping != 0 {
                return Err(other());
            }
            places.push(place);
        }
        Ok(Scan { places, near: near.into(), by_samples })
    }

    /// Decodes into `words`, where the components of a pixel lie side by side.
    fn decode(
        &self,
        mut decoder: Decoder<'_>,
        frame: &Frame,
        words: &mut [u16],
        budget: &Budget,
    ) -> Result<(), ImageProblem> {
        let (width, count) = (frame.width as usize, frame.components.len());
        // One sample more on either side than a row has.
        let mut above = vec![vec![0; width + 2]; self.places.len()];
        let mut rows = above.clone();
        // Components share what is learned, and each has its own way of runs.
        let mut runs = vec![0; self.places.len()];
        for line in words.chunks_exact_mut((width * count).max(1)) {
            budget.check_time()?;
            if self.by_samples {
                decoder.row_of_pixels(&above, &mut rows)?;
            } else {
                for ((above, row), run) in above.iter().zip(&mut rows).zip(&mut runs) {
                    decoder.run = *run;
                    decoder.row(above, row)?;
                    *run = decoder.run;
                }
            }
            for (row, &place) in rows.iter().zip(&self.places) {
                for (pixel, &sample) in line.chunks_exact_mut(count).zip(&row[1..=width]) {
                    pixel[place] = sample as u16;
                }
            }
            std::mem::swap(&mut above, &mut rows);
        }
        Ok(())
    }
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

    /// What a sample's neighbours look like, and those to its left, above it and above that to its left.
    fn context(&self, x: usize, above: &[i32], row: &[i32]) -> (i32, [i32; 3]) {
        let [a, b, c] = [row[x - 1], above[x], above[x - 1]];
        let d = if x == row.len() - 2 { b } else { above[x + 1] };
        let [q1, q2, q3] = [d - b, b - c, c - a].map(|gradient| self.quantise(gradient));
        (81 * q1 + 9 * q2 + q3, [a, b, c])
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
            let (context, [a, b, c]) = self.parameters.context(x, above, row);
            if context == 0 {
                x = self.run(x, above, row)?;
            } else {
                row[x] = self.regular(context, [a, b, c])?;
                x += 1;
            }
        }
        Ok(())
    }

    /// The same of several components, sample by sample: a run is one of all of them.
    fn row_of_pixels(&mut self, above: &[Vec<i32>], rows: &mut [Vec<i32>]) -> Result<(), DicomProblem> {
        let width = above[0].len() - 2;
        rows.iter_mut().zip(above).for_each(|(row, above)| row[0] = above[1]);
        let mut x = 1;
        while x <= width {
            let around = |(above, row): (&Vec<i32>, &Vec<i32>)| self.parameters.context(x, above, row);
            let around: Vec<(i32, [i32; 3])> = above.iter().zip(&*rows).map(around).collect();
            if around.iter().any(|(context, _)| *context != 0) {
                for (row, (context, neighbours)) in rows.iter_mut().zip(around) {
                    row[x] = self.regular(context, neighbours)?;
                }
                x += 1;
                continue;
            }
            let end = x + self.length_of_run(width + 1 - x)?;
            rows.iter_mut().for_each(|row| {
                let sample = row[x - 1];
                row[x..end].fill(sample);
            });
            x = end;
            if x <= width {
                for (row, above) in rows.iter_mut().zip(above) {
                    row[x] = self.end_of_run(row[x - 1], above[x], false)?;
                }
                self.run = self.run.saturating_sub(1);
                x += 1;
            }
        }
        Ok(())
    }

    fn regular(&mut self, context: i32, [a, b, c]: [i32; 3]) -> Result<i32, DicomProblem> {
        let parameters = self.parameters;
        // Without a gradient of its own a sample stands beside others that have one.
        let sign = if context < 0 { -1 } else { 1 };
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
    fn run(&mut self, x: usize, above: &[i32], row: &mut [i32]) -> Result<usize, DicomProblem> {
        let width = row.len() - 2;
        let sample = row[x - 1];
        let end = x + self.length_of_run(width + 1 - x)?;
        row[x..end].fill(sample);
        if end > width {
            return Ok(end);
        }
        let is_alike = (sample - above[end]).abs() <= self.parameters.near;
        row[end] = self.end_of_run(sample, above[end], is_alike)?;
        self.run = self.run.saturating_sub(1);
        Ok(end + 1)
    }

    /// How many of the `left` samples of a row are as the one before them; where it is fewer, another sample follows.
    fn length_of_run(&mut self, left: usize) -> Result<usize, DicomProblem> {
        let mut run = 0;
        while self.bits.take(1)? == 1 {
            let whole = 1 << RUNS[self.run];
            let length = whole.min(left - run);
            run += length;
            if length == whole {
                self.run = (self.run + 1).min(RUNS.len() - 1);
            }
            if run == left {
                return Ok(run);
            }
        }
        let rest = self.bits.take(RUNS[self.run])? as usize;
        match run + rest {
            length if length < left => Ok(length),
            _ => Err(broken("a run is longer than its row")),
        }
    }

    /// A.7.2.
    fn end_of_run(&mut self, a: i32, b: i32, is_alike: bool) -> Result<i32, DicomProblem> {
        let parameters = self.parameters;
        let alike = i32::from(is_alike);
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
