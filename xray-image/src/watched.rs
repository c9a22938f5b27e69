//! Bytes that end when an image's time is over, for decoders that know no clock.

use crate::{Budget, ImageProblem};
use std::cell::Cell;
use std::io::{self, BufRead, Read, Seek, SeekFrom};

/// How many bytes are read between two looks at the clock. Few, because a byte may stand for a thousand: the worst are the
/// runs of empty blocks of a progressive JPEG, 33,000 in two bytes.
const STEP: usize = 64;

/// Reads bytes until the deadline of a budget; from then on fails and is at its end.
pub(super) struct Watched<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the clock is looked at next; past the end where there is no deadline.
    look: usize,
    budget: &'a Budget,
    gave_up: &'a Cell<bool>,
}

/// Gives `decode` the bytes to read. What it makes of them counts only if they did not end early.
pub(super) fn watch<T>(
    bytes: &[u8],
    budget: &Budget,
    decode: impl FnOnce(Watched<'_>) -> Result<T, ImageProblem>,
) -> Result<T, ImageProblem> {
    let gave_up = Cell::new(false);
    let look = if budget.until.is_some() { 0 } else { usize::MAX };
    let decoded = decode(Watched { bytes, at: 0, look, budget, gave_up: &gave_up });
    if gave_up.get() { Err(ImageProblem::OutOfTime) } else { decoded }
}

impl Watched<'_> {
    #[cold]
    fn look(&mut self) -> io::Result<()> {
        self.look = self.at + STEP;
        if self.gave_up.get() || self.budget.is_over() {
            self.gave_up.set(true);
            self.at = self.bytes.len();
            self.look = 0;
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

impl Read for Watched<'_> {
    #[inline(always)]
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.look {
            self.look()?;
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let count = out.len().min(rest.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

impl BufRead for Watched<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.look {
            self.look()?;
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        // Whoever takes a whole buffer looks at the clock as seldom as that.
        let most = if self.budget.until.is_some() { 16 * STEP } else { rest.len() };
        Ok(&rest[..most.min(rest.len())])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl Seek for Watched<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => i64::try_from(place).ok(),
            SeekFrom::Current(step) => i64::try_from(self.at).ok().and_then(|at| at.checked_add(step)),
            SeekFrom::End(step) => i64::try_from(self.bytes.len()).ok().and_then(|end| end.checked_add(step)),
        };
        let place = place.and_then(|place| usize::try_from(place).ok()).ok_or(io::ErrorKind::InvalidInput)?;
        self.at = place;
        if self.look != usize::MAX {
            self.look = self.look.min(place);
        }
        Ok(place as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn read_all(budget: &Budget) -> Result<Vec<u8>, ImageProblem> {
        watch(&[7; 5000], budget, |mut reader| {
            let mut bytes = Vec::new();
            let _ = reader.read_to_end(&mut bytes);
            let _ = reader.seek(SeekFrom::Start(0));
            let _ = reader.fill_buf();
            Ok(bytes)
        })
    }

    #[test]
    fn bytes_come_whole_in_time_and_not_at_all_after_it() {
        assert_eq!(read_all(&Budget::default()).map(|bytes| bytes.len()), Ok(5000));
        let late = Budget { until: Some(Instant::now()), ..Budget::default() };
        assert_eq!(read_all(&late), Err(ImageProblem::OutOfTime));
        let soon = Budget { until: Some(Instant::now() + std::time::Duration::from_secs(60)), ..late };
        assert_eq!(read_all(&soon).map(|bytes| bytes.len()), Ok(5000));
    }
}
