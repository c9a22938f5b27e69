//! One buffer, written by several threads at places that do not meet.
#![expect(unsafe_code, reason = "what the borrow checker cannot see: that images and blocks are disjoint")]

use std::marker::PhantomData;

/// A mutable slice that threads may share, as long as no two touch the same floats.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a, T> {
    pointer: *mut T,
    len: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: it is a pointer and a length; reading and writing through it is unsafe and has its own conditions.
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    /// Shares a slice for as long as it is borrowed.
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { pointer: slice.as_mut_ptr(), len: slice.len(), borrow: PhantomData }
    }

    /// The address of an element.
    pub(crate) fn at(self, offset: usize) -> *mut T {
        assert!(offset <= self.len, "offset {offset} in a buffer of {}", self.len);
        // SAFETY: inside the slice or at its end.
        unsafe { self.pointer.add(offset) }
    }

    /// From an element on.
    pub(crate) fn from(self, offset: usize) -> Self {
        let len = self.len - offset;
        Self { pointer: self.at(offset), len, borrow: PhantomData }
    }

    /// A part of the slice.
    ///
    /// # Safety
    /// Nobody else touches this part while it is borrowed.
    pub(crate) unsafe fn part(self, from: usize, len: usize) -> &'a mut [T] {
        assert!(from + len <= self.len, "{len} from {from} on in a buffer of {}", self.len);
        // SAFETY: inside the slice, and the caller's alone.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.add(from), len) }
    }
}
