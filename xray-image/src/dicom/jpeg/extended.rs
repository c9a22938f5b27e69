//! Sequential JPEG of 12 bits and one component (T.81, F).

use super::broken;
use super::huffman::Bits;
use super::segments::Coded;
use crate::dicom::DicomProblem;
use crate::{Budget, ImageProblem};

/// Where the coefficients of a block stand, in the order in which they are coded.
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Samples of the one component.
pub(super) fn decode(coded: &Coded<'_>, budget: &Budget) -> Result<Vec<u16>, ImageProblem> {
    let frame = &coded.frame;
    let ([(_, quantisation)], [(dc, ac)]) = (&frame.components[..], &coded.tables[..]) else {
        return Err(DicomProblem::Syntax("JPEG of 12 bits in colour".to_owned()).into());
    };
    let steps = coded.quantisation.get(usize::from(*quantisation)).copied().flatten();
    let steps = steps.ok_or(broken("it lacks a quantisation table"))?;
    let (Some(Some(dc)), Some(Some(ac))) = (coded.dc.get(*dc), coded.ac.get(*ac)) else {
        return Err(broken("it lacks a Huffman table").into());
    };
    let cosines = cosines();
    let (width, height) = (frame.width as usize, frame.height as usize);
    let columns = width.div_ceil(8);
    let mut bits = Bits::new(coded.scan);
    let mut samples = vec![0; width * height];
    let mut direct = 0;
    for number in 0..columns * height.div_ceil(8) {
        if number % columns == 0 {
            budget.check_time()?;
        }
        if coded.restart_interval > 0 && number > 0 && number % coded.restart_interval == 0 {
            bits.restart(number / coded.restart_interval - 1)?;
            direct = 0;
        }
        let size = bits.symbol(dc)?;
        direct = bits.value(size)?.wrapping_add(direct);
        let mut block = [0.0; 64];
        block[0] = direct as f32 * f32::from(steps[0]);
        let mut place = 1;
        while place < 64 {
            let symbol = bits.symbol(ac)?;
            let (zeros, size) = (usize::from(symbol >> 4), symbol & 15);
            if size == 0 {
                if zeros < 15 {
                    break;
                }
                place += 16;
                continue;
            }
            place += zeros;
            let slot = ZIGZAG.get(place).ok_or(broken("more than 64 coefficients in a block"))?;
            block[usize::from(*slot)] = bits.value(size)? as f32 * f32::from(steps[place]);
            place += 1;
        }
        let pixels = transform(&block, &cosines);
        let (left, top) = (number % columns * 8, number / columns * 8);
        for (y, row) in pixels.as_chunks::<8>().0.iter().enumerate().take(height - top) {
            let start = (top + y) * width + left;
            let length = (width - left).min(8);
            samples[start..start + length].copy_from_slice(&row[..length]);
        }
    }
    Ok(samples)
}

/// `cosines[frequency][place]`, scaled so that rows and columns make the inverse transform of T.81, A.3.3.
fn cosines() -> [[f32; 8]; 8] {
    let scale = |frequency: usize| if frequency == 0 { 0.125_f64.sqrt() } else { 0.5 };
    let angle = |frequency: usize, place: usize| {
        (2 * place + 1) as f64 * frequency as f64 * std::f64::consts::PI / 16.0
    };
    std::array::from_fn(|u| std::array::from_fn(|x| (scale(u) * angle(u, x).cos()) as f32))
}

fn transform(block: &[f32; 64], cosines: &[[f32; 8]; 8]) -> [u16; 64] {
    let mut rows = [[0.0_f32; 8]; 8];
    for (row, coefficients) in rows.iter_mut().zip(block.as_chunks::<8>().0) {
        for (&coefficient, wave) in
            coefficients.iter().zip(cosines).filter(|(coefficient, _)| **coefficient != 0.0)
        {
            row.iter_mut().zip(wave).for_each(|(sum, cosine)| *sum += coefficient * cosine);
        }
    }
    let mut pixels = [[0.0_f32; 8]; 8];
    for (row, wave) in rows.iter().zip(cosines) {
        for (pixel_row, cosine) in pixels.iter_mut().zip(wave) {
            pixel_row.iter_mut().zip(row).for_each(|(sum, value)| *sum += value * cosine);
        }
    }
    std::array::from_fn(|at| (pixels[at / 8][at % 8] + 2048.0).round().clamp(0.0, 4095.0) as u16)
}
