//! JPEG lossless (T.81, H): differences from a prediction, Huffman coded.

use super::broken;
use super::huffman::{Bits, HuffmanTable};
use super::segments::Coded;
use crate::{Budget, ImageProblem};

/// Samples, those of a pixel side by side.
pub(super) fn decode(coded: &Coded<'_>, budget: &Budget) -> Result<Vec<u16>, ImageProblem> {
    let frame = &coded.frame;
    let [predictor, _, shift] = coded.selection;
    let (columns, channels) = (frame.width as usize, frame.components.len());
    let row = columns * channels;
    if !(2..=16).contains(&frame.bits)
        || shift >= frame.bits
        || frame.subsampled
        || !(1..=7).contains(&predictor)
    {
        return Err(broken("its numbers make no lossless JPEG").into());
    }
    if !coded.restart_interval.is_multiple_of(columns) {
        return Err(broken("it restarts within a row").into());
    }
    let tables = coded.tables.iter().map(|&(dc, _)| coded.dc.get(dc).and_then(Option::as_ref));
    let tables: Vec<&HuffmanTable> =
        tables.collect::<Option<_>>().ok_or(broken("it lacks a Huffman table"))?;
    let rows_between = coded.restart_interval / columns;
    let first = 1_u16 << (frame.bits - shift - 1);
    let mut bits = Bits::new(coded.scan);
    let mut samples: Vec<u16> = Vec::with_capacity(row * frame.height as usize);
    for y in 0..frame.height as usize {
        budget.check_time()?;
        let starts = rows_between > 0 && y > 0 && y % rows_between == 0;
        if starts {
            bits.restart(y / rows_between - 1)?;
        }
        let is_first_row = y == 0 || starts;
        for x in 0..columns {
            for table in &tables {
                let here = samples.len();
                let left = || samples[here - channels];
                let above = || samples[here - row];
                let predicted = match (is_first_row, x) {
                    (true, 0) => first,
                    (true, _) => left(),
                    (false, 0) => above(),
                    (false, _) => predict(predictor, left(), above(), samples[here - row - channels]),
                };
                let difference = match bits.symbol(table)? {
                    16 => 1 << 15,
                    size => bits.value(size)?,
                };
                samples.push(predicted.wrapping_add(difference as u16));
            }
        }
    }
    if shift > 0 {
        samples.iter_mut().for_each(|sample| *sample <<= shift);
    }
    Ok(samples)
}

/// Table H.1.
fn predict(predictor: u8, left: u16, above: u16, corner: u16) -> u16 {
    let [a, b, c] = [left, above, corner].map(i32::from);
    let predicted = match predictor {
        1 => a,
        2 => b,
        3 => c,
        4 => a + b - c,
        5 => a + ((b - c) >> 1),
        6 => b + ((a - c) >> 1),
        _ => (a + b) >> 1,
    };
    predicted as u16
}
