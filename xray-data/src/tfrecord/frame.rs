//! One record's frame: where it ends and whether its checksums hold.

/// Bytes before the payload: the length and its checksum.
pub(super) const HEADER: u64 = 12;
/// Bytes of a record that are not payload.
pub(super) const OVERHEAD: u64 = HEADER + 4;

/// What is wrong with the frame of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordProblem {
    /// The length cannot be trusted, so neither this record nor any after it can be found.
    #[error("the checksum of the length differs")]
    HeaderCrc,
    /// No record begins there, and what does is known.
    #[error("it is {what}, not a TFRecord")]
    OtherFile {
        /// What it is.
        what: &'static str,
    },
    /// The payload was changed; the records after it can still be read.
    #[error("the checksum of the payload differs")]
    PayloadCrc,
    /// The file ends inside the record.
    #[error("the record needs {needed} bytes, the file holds {left} more")]
    Truncated {
        /// Size of the record with its frame.
        needed: u64,
        /// What is left of the file from the record's start.
        left: u64,
    },
    /// The file was cut after it was opened.
    #[error("the file was cut to {left} bytes while it was read, {mapped} were there")]
    Cut {
        /// Size of the file when it was opened.
        mapped: u64,
        /// Its size now.
        left: u64,
    },
    /// The index beside the file describes other records.
    #[error("the index gives {indexed} bytes, the record says {found}")]
    Index {
        /// Payload length in the index.
        indexed: u64,
        /// Payload length in the file.
        found: u64,
    },
    /// No such record.
    #[error("the file holds {records} records")]
    Absent {
        /// How many there are.
        records: u64,
    },
}

impl RecordProblem {
    pub(crate) fn hint(self) -> &'static str {
        match self {
            RecordProblem::HeaderCrc => "the file is damaged, or not a TFRecord: copy it again",
            RecordProblem::OtherFile { .. } => {
                "download what was meant, or unpack it: records are read as they are, or packed by gzip or zlib"
            }
            RecordProblem::PayloadCrc => {
                "the file was damaged on the way: copy it again, or skip bad records"
            }
            RecordProblem::Cut { .. } => "write files of records under another name and rename them",
            RecordProblem::Truncated { .. } => "the file was cut off on the way: copy it again",
            RecordProblem::Index { .. } | RecordProblem::Absent { .. } => {
                "delete the .idx file beside it: it belongs to other records"
            }
        }
    }
}

/// CRC-32C as TensorFlow stores it: "masked", because a CRC over data that holds CRCs of itself is weak.
pub(super) fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A record with this payload, as it lies in a file: for whoever adds to one that others read meanwhile, by one write.
pub fn framed(payload: &[u8]) -> Vec<u8> {
    let crc = masked_crc(payload).to_le_bytes();
    [&header(payload.len() as u64), payload, &crc].concat()
}

/// The header of a record with a payload of `length` bytes.
pub(super) fn header(length: u64) -> [u8; HEADER as usize] {
    let mut bytes = [0; HEADER as usize];
    bytes[..8].copy_from_slice(&length.to_le_bytes());
    let crc = masked_crc(&bytes[..8]);
    bytes[8..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The payload's length of the record that `rest` begins with: checked against its checksum and against the
/// bytes there are.
pub(super) fn payload_length(rest: &[u8]) -> Result<u64, RecordProblem> {
    let left = rest.len() as u64;
    let truncated = |needed| RecordProblem::Truncated { needed, left };
    let (length, after) = rest.split_first_chunk::<8>().ok_or(truncated(OVERHEAD))?;
    let crc = after.first_chunk::<4>().ok_or(truncated(OVERHEAD))?;
    if u32::from_le_bytes(*crc) != masked_crc(length) {
        return Err(RecordProblem::HeaderCrc);
    }
    let length = u64::from_le_bytes(*length);
    let needed = length.saturating_add(OVERHEAD);
    if needed > left { Err(truncated(needed)) } else { Ok(length) }
}

/// The payload of `length` bytes of the record that `rest` begins with, when its checksum holds. The length
/// comes from [`payload_length`].
pub(super) fn payload(rest: &[u8], length: u64) -> Result<&[u8], RecordProblem> {
    let (payload, crc) = unchecked_payload(rest, length);
    if crc != masked_crc(payload) { Err(RecordProblem::PayloadCrc) } else { Ok(payload) }
}

/// The payload and its stored checksum, not compared: touches no page of the payload.
pub(super) fn unchecked_payload(rest: &[u8], length: u64) -> (&[u8], u32) {
    let (payload, after) = rest[HEADER as usize..].split_at(length as usize);
    let crc = after.first_chunk::<4>().expect("payload_length saw a whole record");
    (payload, u32::from_le_bytes(*crc))
}
