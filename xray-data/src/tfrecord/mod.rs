//! TFRecord files: each record is its length (`u64`, little endian), a CRC of the length, the payload, and a
//! CRC of the payload. Both checksums are CRC-32C, rotated and shifted as TensorFlow does
//! (`tensorflow/core/lib/io/record_writer.h`).
//!
//! A length is believed only when its checksum holds and the file is long enough, so that a damaged file
//! gives an error with the place instead of an allocation of petabytes. Payloads are slices of a memory map.

mod frame;
mod index;
mod inflate;
mod mapping;
mod reader;
mod writer;

pub use frame::{RecordProblem, framed};
pub use index::{IndexEntry, RecordIndex};
pub(crate) use index::{Sums, Written};
pub use inflate::Compression;
pub use reader::{Record, RecordFile, Records};
pub use writer::RecordWriter;
