//! Floats on a device.
#![expect(unsafe_code, reason = "an argument's length, which is the buffer's own")]

use crate::error::Error;
use crate::gpu::Gpu;
use cubecl::prelude::*;
use cubecl::server::Handle;

/// Floats on a device. A clone is the same memory.
#[derive(Clone, Debug)]
pub struct Buffer {
    handle: Handle,
    length: usize,
}

impl Buffer {
    /// Floats of no particular value.
    ///
    /// # Errors
    /// If the device makes no buffer as long.
    pub fn empty(gpu: &Gpu, length: usize) -> Result<Self, Error> {
        let bytes = expect_room(gpu, length)?;
        Ok(Self { handle: gpu.client().empty(gpu.memory(bytes)), length })
    }

    /// A copy of `values`.
    ///
    /// # Errors
    /// If the device makes no buffer as long.
    pub fn of(gpu: &Gpu, values: &[f32]) -> Result<Self, Error> {
        Ok(Self { handle: upload(gpu, f32::as_bytes(values))?, length: values.len() })
    }

    /// The values, once everything launched before has run.
    ///
    /// # Errors
    /// If the device failed.
    pub fn read(&self, gpu: &Gpu) -> Result<Vec<f32>, Error> {
        gpu.count_read();
        let bytes = gpu.client().read_one(self.handle.clone());
        let bytes = bytes.map_err(|error| Error::Device(format!("{error:?}")))?;
        Ok(f32::from_bytes(&bytes)[..self.length].to_vec())
    }

    /// Floats.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// A part of it, from `start`.
    ///
    /// # Panics
    /// If the buffer ends before.
    pub fn part(&self, start: usize, length: usize) -> Part<'_> {
        assert!(
            start.checked_add(length).is_some_and(|end| end <= self.length),
            "{length} floats from {start} on of a buffer of {}",
            self.length
        );
        Part { buffer: self, start, length }
    }

    /// All of it.
    pub fn whole(&self) -> Part<'_> {
        self.part(0, self.length)
    }

    pub(crate) fn argument(&self) -> BufferArg {
        // SAFETY: the length is that of the memory.
        unsafe { BufferArg::from_raw_parts(self.handle.clone(), self.length) }
    }
}

/// Memory with a copy of bytes, a whole number of words.
pub(crate) fn upload(gpu: &Gpu, bytes: &[u8]) -> Result<Handle, Error> {
    expect_room(gpu, bytes.len() / 4)?;
    let sent = gpu.memory(bytes.len());
    // Some memory also where there is nothing to send.
    Ok(gpu.client().create_from_slice(if bytes.is_empty() { &[0; 4] } else { &bytes[..sent] }))
}

/// The bytes of so many floats, if the device makes a buffer of them.
fn expect_room(gpu: &Gpu, length: usize) -> Result<usize, Error> {
    let (bytes, limit) = (4 * length as u64, gpu.limits().buffer);
    if bytes > limit { Err(Error::TooLarge { bytes, limit }) } else { Ok(bytes as usize) }
}

/// Neighbouring floats of a buffer: all parameters of a network lie in one, and a layer names its own.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    buffer: &'a Buffer,
    start: usize,
    length: usize,
}

impl<'a> Part<'a> {
    pub(crate) fn buffer(&self) -> &'a Buffer {
        self.buffer
    }

    /// The first float's place in the buffer.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Floats.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(crate) fn argument(&self) -> BufferArg {
        self.buffer.argument()
    }

    /// # Panics
    /// If it has another length.
    pub(crate) fn expect(&self, length: usize, what: &str) {
        assert_eq!(self.length, length, "floats of {what}");
    }

    /// # Panics
    /// If the other lies in another buffer, where a kernel binds one for both.
    pub(crate) fn expect_beside(&self, other: &Part<'_>, what: &str) {
        assert!(self.lies_in(other.buffer), "{what} lie in two buffers");
    }

    /// Whether a buffer is the one that this is a part of, or a clone of it.
    pub(crate) fn lies_in(&self, buffer: &Buffer) -> bool {
        let (own, other) = (&self.buffer.handle, &buffer.handle);
        own.memory.descriptor() == other.memory.descriptor() && own.offset_start == other.offset_start
    }
}
