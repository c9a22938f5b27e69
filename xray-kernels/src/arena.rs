//! Buffers that outlive the step that used them.
//!
//! A fresh buffer of some megabytes costs more than the kernel that fills it: the C library maps it, each page
//! faults on its first touch and is zeroed by the operating system, and the release unmaps it. ReLU over 67 MB
//! took 43 ms that way and 4 ms in memory that was there already. So buffers come back here and are lent again.
#![expect(unsafe_code, reason = "allocation with an alignment")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A cache line, and a vector of AVX-512.
const ALIGNMENT: usize = 64;

/// Floats at an address that is a multiple of 64 bytes.
#[derive(Debug)]
struct AlignedBuffer {
    pointer: NonNull<f32>,
    capacity: usize,
}

// SAFETY: the buffer owns its memory, as a Vec does.
unsafe impl Send for AlignedBuffer {}
// SAFETY: a shared reference only reads.
unsafe impl Sync for AlignedBuffer {}

impl AlignedBuffer {
    fn zeroed(capacity: usize) -> Self {
        let layout = Self::layout(capacity);
        // SAFETY: the layout is not of size zero, for classes begin at 64 floats.
        let pointer = unsafe { alloc_zeroed(layout) };
        let Some(pointer) = NonNull::new(pointer.cast()) else { handle_alloc_error(layout) };
        Self { pointer, capacity }
    }

    fn layout(capacity: usize) -> Layout {
        Layout::from_size_align(capacity * size_of::<f32>(), ALIGNMENT).expect("less than the address space")
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        // SAFETY: allocated in `zeroed` with the same layout, and freed once.
        unsafe { dealloc(self.pointer.as_ptr().cast(), Self::layout(self.capacity)) }
    }
}

/// Lends buffers of floats and takes them back when they drop. Clones share the store; threads may too.
///
/// ```
/// use xray_kernels::Arena;
///
/// let arena = Arena::new(1 << 30);
/// let first = arena.zeroed(1000);
/// assert_eq!(first.as_ptr() as usize % 64, 0);
/// drop(first);
/// assert_eq!(arena.idle_bytes() / 4, 1024); // kept for the next one
/// let again = arena.take(990);
/// assert_eq!((again.len(), arena.idle_bytes()), (990, 0));
/// ```
#[derive(Clone, Debug)]
pub struct Arena {
    store: Arc<Mutex<Store>>,
}

#[derive(Debug)]
struct Store {
    idle: BTreeMap<usize, Vec<AlignedBuffer>>,
    idle_bytes: usize,
    most_idle_bytes: usize,
}

impl Arena {
    /// A store that keeps at most so many bytes of buffers which nobody holds.
    pub fn new(most_idle_bytes: usize) -> Self {
        let store = Store { idle: BTreeMap::new(), idle_bytes: 0, most_idle_bytes };
        Self { store: Arc::new(Mutex::new(store)) }
    }

    /// A buffer of `len` floats whose content is of no meaning: what its last holder left, or zeros.
    pub fn take(&self, len: usize) -> ArenaBuffer {
        let capacity = class(len);
        let idle = self.lock().take(capacity);
        // A new one is made outside the lock, for that is what takes long.
        let buffer = idle.unwrap_or_else(|| AlignedBuffer::zeroed(capacity));
        ArenaBuffer { buffer: Some(buffer), len, store: Arc::clone(&self.store) }
    }

    /// A buffer of `len` zeros.
    pub fn zeroed(&self, len: usize) -> ArenaBuffer {
        let mut buffer = self.take(len);
        buffer.fill(0.0);
        buffer
    }

    /// Bytes of the buffers that nobody holds.
    pub fn idle_bytes(&self) -> usize {
        self.lock().idle_bytes
    }

    /// Frees the buffers that nobody holds.
    pub fn clear(&self) {
        let mut store = self.lock();
        store.idle_bytes = 0;
        store.idle.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }
}

// A panic elsewhere cannot leave the store half changed, so its poison means nothing.
fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The capacity for a length: eighths of a power of two, so that lengths which vary a little share buffers.
fn class(len: usize) -> usize {
    let step = (len.next_power_of_two() / 16).max(64);
    len.max(1).next_multiple_of(step)
}

impl Store {
    fn take(&mut self, capacity: usize) -> Option<AlignedBuffer> {
        let list = self.idle.get_mut(&capacity)?;
        let buffer = list.pop()?;
        self.idle_bytes -= capacity * size_of::<f32>();
        Some(buffer)
    }

    /// Keeps the buffer, or gives back those that no longer fit.
    fn keep(&mut self, buffer: AlignedBuffer) -> Vec<AlignedBuffer> {
        self.idle_bytes += buffer.capacity * size_of::<f32>();
        self.idle.entry(buffer.capacity).or_default().push(buffer);
        let mut surplus = Vec::new();
        while self.idle_bytes > self.most_idle_bytes {
            let Some(mut largest) = self.idle.last_entry() else { break };
            if let Some(buffer) = largest.get_mut().pop() {
                self.idle_bytes -= buffer.capacity * size_of::<f32>();
                surplus.push(buffer);
            } else {
                largest.remove();
            }
        }
        surplus
    }
}

/// A slice of floats lent by an [`Arena`].
#[derive(Debug)]
pub struct ArenaBuffer {
    buffer: Option<AlignedBuffer>,
    len: usize,
    store: Arc<Mutex<Store>>,
}

impl ArenaBuffer {
    fn pointer(&self) -> NonNull<f32> {
        self.buffer.as_ref().expect("it leaves only in drop").pointer
    }
}

impl Deref for ArenaBuffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `len` floats at most the capacity, zeroed when allocated, owned by this value.
        unsafe { std::slice::from_raw_parts(self.pointer().as_ptr(), self.len) }
    }
}

impl DerefMut for ArenaBuffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and borrowed for change.
        unsafe { std::slice::from_raw_parts_mut(self.pointer().as_ptr(), self.len) }
    }
}

impl Drop for ArenaBuffer {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            // Freed after the lock is gone.
            let surplus = lock(&self.store).keep(buffer);
            drop(surplus);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_to_the_next_of_its_class() {
        let arena = Arena::new(1 << 20);
        let first = arena.take(5000);
        let address = first.as_ptr();
        drop(first);
        let second = arena.take(5001);
        assert_eq!((second.as_ptr(), second.len()), (address, 5001));
    }

    #[test]
    fn the_store_is_bounded() {
        let arena = Arena::new(10 * 4096);
        let many: Vec<_> = (1..20).map(|n| arena.zeroed(n * 1024)).collect();
        drop(many);
        assert!(arena.idle_bytes() <= 10 * 4096);
        arena.clear();
        assert_eq!(arena.idle_bytes(), 0);
    }

    #[test]
    fn classes_waste_at_most_an_eighth() {
        for len in [0, 1, 64, 65, 1000, 1025, 123_457, 1 << 20] {
            let class = class(len);
            assert!(class >= len && class > 0 && class <= len + (len / 8).max(64), "{len}: {class}");
        }
    }

    #[test]
    fn threads_share_it() {
        let arena = Arena::new(1 << 20);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let arena = arena.clone();
                scope.spawn(move || {
                    for round in 0..100 {
                        let mut buffer = arena.take(100 + round);
                        buffer.fill(thread as f32);
                        assert!(buffer.iter().all(|&value| value == thread as f32));
                    }
                });
            }
        });
    }
}
