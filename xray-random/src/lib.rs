//! Seeded random numbers that are the same on every machine and in every thread: a stream is a function of a few
//! integers, or of a seed and a name, so nothing depends on which thread asks first.
//!
//! ```
//! use xray_random::Random;
//! let (seed, epoch, record) = (0, 3, 17);
//! let mut random = Random::keyed(&[seed, epoch, record]);
//! assert!((-1.0..1.0).contains(&random.between(-1.0, 1.0)));
//! assert_eq!(Random::keyed(&[1, 2]).bits(), Random::keyed(&[1, 2]).bits());
//! ```

mod random;

pub use random::Random;
