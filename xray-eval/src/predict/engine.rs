//! Images through a network: read and prepared ahead on all processors, computed in batches, in their order.

use super::device::Device;
use super::row::{Row, Seen, look};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use xray_artifacts::{Exit, Failure};
use xray_bundle::Bundle;
use xray_cli::Progress;
use xray_data::loader::{Ahead, pool};
use xray_data::sources::GivenImage;
use xray_train::signals::StopFlag;

/// How fast images are predicted. Changes no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Images that the network takes at once.
    pub batch_size: usize,
    /// Threads that decode and compute; 0 for one per processor.
    pub threads: usize,
}

/// Gives `take` the rows of the images from number `first` on, batch by batch; false when somebody asked to stop
/// meanwhile.
///
/// # Errors
/// What is not a fault of a single image, and what `take` says.
pub(crate) fn each(
    bundle: &Arc<Bundle>,
    device: &mut Device,
    images: &Arc<Vec<GivenImage>>,
    first: usize,
    pace: Pace,
    stop: &StopFlag,
    take: &mut dyn FnMut(Vec<Row>) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    let progress = Progress::new("images", Some((images.len() - first) as u64));
    let mut found = |rows: Vec<Row>| {
        progress.advance_by(rows.len() as u64);
        take(rows)
    };
    let ended = ahead(bundle, images, first, pace)
        .and_then(|mut ahead| through(bundle, device, &mut ahead, stop, &mut found));
    progress.finish();
    match ended {
        // A signal from the terminal reaches the program with the device too.
        Err(_) if stop.requested().is_some() => Ok(false),
        ended => ended,
    }
}

fn through(
    bundle: &Bundle,
    device: &mut Device,
    ahead: &mut Ahead<Seen>,
    stop: &StopFlag,
    take: &mut dyn FnMut(Vec<Row>) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    // While a device computes a batch, the next is prepared and sent.
    let mut begun: Option<Vec<Row>> = None;
    for seen in ahead {
        if stop.requested().is_some() {
            return Ok(false);
        }
        let Seen { rows, pixels } = seen?;
        if !pixels.is_empty() {
            device.begin(bundle, pixels)?;
        }
        if let Some(rows) = begun.replace(rows) {
            take(scored(rows, device, bundle)?)?;
        }
    }
    if let Some(rows) = begun {
        take(scored(rows, device, bundle)?)?;
    }
    Ok(true)
}

/// Batches of images from number `first` on, read and prepared ahead.
pub(super) fn ahead(
    bundle: &Arc<Bundle>,
    images: &Arc<Vec<GivenImage>>,
    first: usize,
    pace: Pace,
) -> Result<Ahead<Seen>, Failure> {
    let threads = pool(pace.threads)
        .map_err(|error| Failure::new(Exit::Unexpected, format!("cannot start threads: {error}")))?;
    let (bundle, images, size) = (bundle.clone(), images.clone(), pace.batch_size.max(1));
    let batches = (images.len() - first).div_ceil(size);
    Ok(Ahead::new(Arc::new(threads), PREFETCH, 0..batches, move |batch, cancelled| {
        let rows = first + batch * size..images.len().min(first + (batch + 1) * size);
        seen(&bundle, &images, rows, cancelled)
    }))
}

/// Batches in the making, as in training.
const PREFETCH: usize = 4;

fn seen(
    bundle: &Bundle,
    images: &[GivenImage],
    rows: Range<usize>,
    cancelled: &AtomicBool,
) -> xray_data::Result<Option<Seen>> {
    let look = |row: usize| {
        if cancelled.load(Ordering::Relaxed) {
            return Ok(None);
        }
        look(bundle, &images[row], row).map(Some)
    };
    let found: Vec<Option<(Row, Vec<f32>)>> = rows.into_par_iter().map(look).collect::<Result<_, _>>()?;
    let found: Option<Vec<_>> = found.into_iter().collect();
    Ok(found.map(|found| {
        let (rows, pixels): (Vec<Row>, Vec<Vec<f32>>) = found.into_iter().unzip();
        Seen { rows, pixels: pixels.concat() }
    }))
}

/// Gives the rows without an error their outputs.
fn scored(rows: Vec<Row>, device: &mut Device, bundle: &Bundle) -> Result<Vec<Row>, Failure> {
    let has_pixels = rows.iter().any(|row| row.error.is_none());
    let outputs = if has_pixels { device.finish()? } else { Vec::new() };
    let mut outputs = outputs.chunks_exact(bundle.outputs());
    let score = |row: Row| match row.error {
        Some(_) => row,
        None => row.scored(outputs.next().expect("one for each good image"), &bundle.card.labels),
    };
    Ok(rows.into_iter().map(score).collect())
}
