//! What decoding one image may cost, so that no file can take a machine's memory or time.

use crate::{ImageProblem, MAX_SIDE};
use std::hint::black_box;
use std::time::Instant;

/// What decoding one image may cost. Pixels and memory are compared with what the file's headers announce, before
/// anything is allocated; the deadline is looked at while rows are decoded.
///
/// Whether a file fits the first two depends on the file alone, so a build gives the same result everywhere. A deadline
/// is for servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The most pixels, width times height.
    pub pixels: u64,
    /// The most bytes that are held at once, beside the file itself.
    pub memory: u64,
    /// When decoding is given up; never where none.
    pub until: Option<Instant>,
}

impl Default for Budget {
    /// For files at hand: 64 megapixels, 512 MiB, no deadline.
    fn default() -> Self {
        Budget { pixels: 1 << 26, memory: 1 << 29, until: None }
    }
}

impl Budget {
    /// Refuses a header that announces no pixels, or too many.
    pub(crate) fn check_size(&self, width: u32, height: u32) -> Result<(), ImageProblem> {
        if width == 0 || height == 0 {
            return Err(ImageProblem::NoPixels { width, height, pixels: 0 });
        }
        let pixels = u64::from(width) * u64::from(height);
        if width.max(height) > MAX_SIDE || pixels > self.pixels {
            return Err(ImageProblem::TooLarge { width, height, allowed: self.pixels });
        }
        Ok(())
    }

    /// Refuses what would hold this many bytes at once.
    pub(crate) fn check_memory(&self, bytes: u64) -> Result<(), ImageProblem> {
        if bytes > self.memory {
            return Err(ImageProblem::TooMuchMemory { bytes, allowed: self.memory });
        }
        // Decoders end the program when the system gives them nothing. A server asks first; elsewhere whether a file is
        // good must not depend on what else the machine does.
        if self.until.is_some() && bytes > ASKED && !is_given(bytes) {
            return Err(ImageProblem::NoMemory { bytes });
        }
        Ok(())
    }

    /// Refuses more work than a large image is worth: `visits` of blocks of 64 pixels. An ordinary progressive file visits
    /// each block of its luma 6 to 14 times, colours included.
    pub(crate) fn check_work(&self, visits: u64) -> Result<(), ImageProblem> {
        if visits > VISITS * self.pixels.div_ceil(64) {
            return Err(ImageProblem::TooMuchWork);
        }
        Ok(())
    }

    /// Fails after the deadline.
    pub(crate) fn check_time(&self) -> Result<(), ImageProblem> {
        if self.is_over() { Err(ImageProblem::OutOfTime) } else { Ok(()) }
    }

    /// Whether the deadline has passed.
    pub(crate) fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }
}

/// Whether the system gives so many bytes at the moment. They are not touched, so that asking costs next to nothing.
fn is_given(bytes: u64) -> bool {
    let mut asked: Vec<u8> = Vec::new();
    let given = asked.try_reserve_exact(usize::try_from(bytes).unwrap_or(usize::MAX)).is_ok();
    // The compiler would leave out an allocation that nobody looks at.
    black_box(&asked);
    given
}

/// Bytes from which the system is asked for them before a decoder takes them.
const ASKED: u64 = 8 << 20;

/// How often each block of the largest image that is allowed may be visited. Twice what encoders write.
const VISITS: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_limit_refuses_by_its_own_name() {
        let budget = Budget { pixels: 6400, memory: 1000, until: None };
        assert_eq!(budget.check_size(80, 80), Ok(()));
        assert!(matches!(budget.check_size(81, 80), Err(ImageProblem::TooLarge { .. })));
        assert!(matches!(budget.check_size(0, 80), Err(ImageProblem::NoPixels { .. })));
        assert!(matches!(Budget::default().check_size(8193, 1), Err(ImageProblem::TooLarge { .. })));
        assert_eq!(budget.check_memory(1000), Ok(()));
        let problem = budget.check_memory(1001).expect_err("too much");
        assert_eq!(problem, ImageProblem::TooMuchMemory { bytes: 1001, allowed: 1000 });
        let server = Budget { memory: u64::MAX, until: Some(Instant::now()), ..budget };
        assert_eq!(server.check_memory(1 << 60), Err(ImageProblem::NoMemory { bytes: 1 << 60 }));
        assert_eq!(Budget { until: None, ..server }.check_memory(1 << 60), Ok(()));
        assert_eq!(budget.check_work(3200), Ok(()));
        assert_eq!(budget.check_work(3201), Err(ImageProblem::TooMuchWork));
    }

    #[test]
    fn a_deadline_passes() {
        let until = |until| Budget { until: Some(until), ..Budget::default() };
        assert_eq!(until(Instant::now()).check_time(), Err(ImageProblem::OutOfTime));
        assert_eq!(until(Instant::now() + Duration::from_secs(3600)).check_time(), Ok(()));
        assert_eq!(Budget::default().check_time(), Ok(()));
    }
}
