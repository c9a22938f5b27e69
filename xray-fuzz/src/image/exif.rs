//! EXIF data with an orientation, as cameras and PNG's `eXIf` chunk hold it: a TIFF header and one directory.

/// Little-endian, with this orientation; 1 is upright.
pub(super) fn orientation(value: u16) -> Vec<u8> {
    let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend(value.to_le_bytes());
    // The rest of the value's four bytes, and no further directory.
    exif.extend([0; 6]);
    exif
}
