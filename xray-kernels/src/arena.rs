//! Buffers that outlive the step that used them.
//!
//! A fresh buffer of some megabytes costs more than the kernel that fills it: the C library maps it, each page
//! faults on its first touch and is zeroed by the operating system, and the release unmaps it. ReLU over 67 MB
//! took 43 ms that way and 4 ms in memory that was there already. So buffers are parts of large chunks, come back
//! and are lent again, joined with what lies free beside them: a step of training then holds little more than the
//! most that it needs at one time. (One store for each length, as was here first, held half as much again for
//! ResNet-18.) Pages of a chunk that were never lent cost nothing, for nothing has touched them.
#![expect(unsafe_code, reason = "allocation with an alignment")]

#[cfg(target_os = "linux")]
use memmap2::Advice;
use memmap2::MmapMut;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A cache line, and a vector of AVX-512.
const ALIGNMENT: usize = 64;

/// Floats of a page: parts of chunks begin and end with pages.
const PAGE: usize = 1024;

/// Floats of a chunk: 256 MB. Longer buffers have chunks of their own length.
const CHUNK: usize = 1 << 26;

/// Anonymous memory of the operating system, which is zero and becomes real when it is touched. An allocator's zeroed
/// memory may be either: where it gives again what was freed, it writes all 256 MB of zeros first.
#[derive(Debug)]
struct Chunk {
    map: MmapMut,
}

impl Chunk {
    fn new(floats: usize) -> Self {
        let bytes = floats * size_of::<f32>();
        let Ok(map) = MmapMut::map_anon(bytes) else { handle_alloc_error(layout(bytes, ALIGNMENT)) };
        // Fewer faults, and fewer misses of the table of pages, on systems that give large pages to those who ask. Where it
        // does not know them, small ones are right too.
        #[cfg(target_os = "linux")]
        let _ = map.advise(Advice::HugePage);
        Self { map }
    }

    fn floats(&self) -> usize {
        self.map.len() / size_of::<f32>()
    }

    /// Maps begin with a page of the system, whose alignment is larger than ours.
    fn pointer(&mut self) -> NonNull<f32> {
        NonNull::new(self.map.as_mut_ptr().cast()).expect("a map is nowhere null")
    }
}

fn layout(bytes: usize, alignment: usize) -> Layout {
    Layout::from_size_align(bytes.max(1), alignment).expect("less than the address space")
}

/// An allocation of just its length, at an address that is a multiple of 64 bytes.
#[derive(Debug)]
struct OwnBuffer {
    layout: Layout,
    pointer: NonNull<f32>,
}

// SAFETY: the buffer owns its memory, as a Vec does.
unsafe impl Send for OwnBuffer {}
// SAFETY: a shared reference only reads.
unsafe impl Sync for OwnBuffer {}

impl OwnBuffer {
    fn zeroed(floats: usize) -> Self {
        let layout = layout(floats * size_of::<f32>(), ALIGNMENT);
        // SAFETY: the layout is not of size zero.
        let pointer = unsafe { alloc_zeroed(layout) };
        let Some(pointer) = NonNull::new(pointer.cast()) else { handle_alloc_error(layout) };
        Self { layout, pointer }
    }
}

impl Drop for OwnBuffer {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and freed once.
        unsafe { dealloc(self.pointer.as_ptr().cast(), self.layout) }
    }
}

/// Lends buffers of floats and takes them back when they drop. Clones share the store; threads may too.
///
/// ```
/// use xray_kernels::Arena;
///
/// let arena = Arena::new();
/// let first = arena.zeroed(1000);
/// assert_eq!(first.as_ptr() as usize % 64, 0);
/// let place = first.as_ptr();
/// drop(first);
/// assert_eq!(arena.take(990).as_ptr(), place);
/// assert_eq!((arena.lent_bytes(), arena.most_lent_bytes()), (0, 4096));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Arena {
    store: Arc<Mutex<Store>>,
    is_watched: bool,
}

impl Arena {
    /// An empty store. It grows by what is lent at one time, and gives nothing back before its last buffer dropped.
    pub fn new() -> Self {
        Self::default()
    }

    /// For tests: lends each buffer from an allocation of its own, of just its length and full of NaN, and frees it
    /// when it drops. An address sanitizer then sees the end of each buffer, and results show what was read before
    /// it was written.
    pub fn watched() -> Self {
        Self { is_watched: true, ..Self::default() }
    }

    /// A buffer of `len` floats whose content is of no meaning: what its last holder left, or zeros.
    pub fn take(&self, len: usize) -> ArenaBuffer {
        if self.is_watched {
            let mut buffer = ArenaBuffer { memory: Memory::Own(OwnBuffer::zeroed(len)), len };
            buffer.fill(f32::NAN);
            return buffer;
        }
        let room = len.max(1).next_multiple_of(PAGE);
        ArenaBuffer { memory: Memory::Part(self.part(room), Arc::clone(&self.store)), len }
    }

    /// A buffer of `len` zeros.
    pub fn zeroed(&self, len: usize) -> ArenaBuffer {
        let mut buffer = self.take(len);
        buffer.fill(0.0);
        buffer
    }

    /// Bytes of the buffers that are lent now.
    pub fn lent_bytes(&self) -> usize {
        lock(&self.store).lent * size_of::<f32>()
    }

    /// Bytes of the buffers that were lent at the time when most were.
    pub fn most_lent_bytes(&self) -> usize {
        lock(&self.store).most_lent * size_of::<f32>()
    }

    fn part(&self, room: usize) -> Part {
        let part = lock(&self.store).lend(room);
        part.unwrap_or_else(|| {
            // Made outside the lock, for it may take long.
            let chunk = Chunk::new(room.max(CHUNK));
            let mut store = lock(&self.store);
            store.add(chunk);
            store.lend(room).expect("the new chunk is long enough, and the lock is held")
        })
    }
}

// A panic elsewhere cannot leave the store half changed, so its poison means nothing.
fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The chunks and what of them is free, in floats.
#[derive(Debug, Default)]
struct Store {
    chunks: Vec<Chunk>,
    /// Length by chunk and start. No two of a chunk touch.
    free: BTreeMap<(usize, usize), usize>,
    /// The same by length: the shortest that is long enough is lent, of equals the first.
    by_length: BTreeSet<(usize, usize, usize)>,
    lent: usize,
    most_lent: usize,
}

/// A piece of a chunk that one holder has.
#[derive(Debug)]
struct Part {
    pointer: NonNull<f32>,
    chunk: usize,
    start: usize,
    len: usize,
}

// SAFETY: a part is its holder's alone, as a Vec's memory is.
unsafe impl Send for Part {}
// SAFETY: a shared reference only reads.
unsafe impl Sync for Part {}

impl Store {
    fn add(&mut self, chunk: Chunk) {
        self.chunks.push(chunk);
        let chunk = self.chunks.len() - 1;
        self.insert(chunk, 0, self.chunks[chunk].floats());
    }

    fn lend(&mut self, len: usize) -> Option<Part> {
        let &(room, chunk, start) = self.by_length.range((len, 0, 0)..).next()?;
        self.remove(chunk, start, room);
        if room > len {
            self.insert(chunk, start + len, room - len);
        }
        self.lent += len;
        self.most_lent = self.most_lent.max(self.lent);
        // SAFETY: free pieces lie within their chunk.
        let pointer = unsafe { self.chunks[chunk].pointer().add(start) };
        Some(Part { pointer, chunk, start, len })
    }

    /// Takes a part back and joins it with what lies free before and behind.
    fn keep(&mut self, &Part { chunk, start, len, .. }: &Part) {
        self.lent -= len;
        let (mut first, mut end) = (start, start + len);
        if let Some((&(_, before), &room)) = self.free.range((chunk, 0)..(chunk, start)).next_back()
            && before + room == start
        {
            self.remove(chunk, before, room);
            first = before;
        }
        if let Some(&room) = self.free.get(&(chunk, end)) {
            self.remove(chunk, end, room);
            end += room;
        }
        self.insert(chunk, first, end - first);
    }

    fn insert(&mut self, chunk: usize, start: usize, len: usize) {
        self.free.insert((chunk, start), len);
        self.by_length.insert((len, chunk, start));
    }

    fn remove(&mut self, chunk: usize, start: usize, len: usize) {
        self.free.remove(&(chunk, start));
        self.by_length.remove(&(len, chunk, start));
    }
}

/// A slice of floats lent by an [`Arena`].
#[derive(Debug)]
pub struct ArenaBuffer {
    memory: Memory,
    len: usize,
}

#[derive(Debug)]
enum Memory {
    /// The store lives as long as its parts.
    Part(Part, Arc<Mutex<Store>>),
    Own(OwnBuffer),
}

impl ArenaBuffer {
    fn pointer(&self) -> NonNull<f32> {
        match &self.memory {
            Memory::Part(part, _) => part.pointer,
            Memory::Own(buffer) => buffer.pointer,
        }
    }
}

impl Deref for ArenaBuffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: as many floats as its memory has at least, zeroed when allocated, held by this value alone.
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
        if let Memory::Part(part, store) = &self.memory {
            lock(store).keep(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_came_back_is_lent_again_joined_with_its_neighbours() {
        let arena = Arena::new();
        let parts = [arena.take(5000), arena.take(3000), arena.take(1)];
        let first = parts[0].as_ptr();
        drop(parts);
        let whole = arena.take(CHUNK);
        assert_eq!(whole.as_ptr(), first);
        assert_eq!(lock(&arena.store).chunks.len(), 1);
    }

    #[test]
    fn the_shortest_free_part_is_lent() {
        let arena = Arena::new();
        let [long, between, short, last] = [8, 1, 2, 1].map(|pages| arena.take(pages * PAGE));
        let place = short.as_ptr();
        drop((long, short));
        let taken = arena.take(2 * PAGE);
        assert_eq!(taken.as_ptr(), place);
        drop((between, last));
    }

    #[test]
    fn a_buffer_longer_than_a_chunk_has_its_own() {
        let arena = Arena::new();
        assert_eq!(arena.take(CHUNK + 1).len(), CHUNK + 1);
        assert_eq!(arena.lent_bytes(), 0);
    }

    #[test]
    fn watched_buffers_are_no_longer_than_asked_and_hold_nothing() {
        let arena = Arena::watched();
        let buffer = arena.take(7);
        assert!(buffer.len() == 7 && buffer.iter().all(|value| value.is_nan()));
        let Memory::Own(own) = &buffer.memory else { panic!("a part of a chunk") };
        assert_eq!(own.layout.size(), 7 * 4);
        assert!(arena.take(0).is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_was_never_lent_takes_no_memory() {
        let resident = || {
            let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("of this process");
            let line = text.lines().find(|line| line.starts_with("Rss:")).expect("its first figure");
            line.split_whitespace().nth(1).and_then(|kib| kib.parse::<usize>().ok()).expect("KiB")
        };
        let before = resident();
        let arena = Arena::new();
        let mut buffer = arena.zeroed(PAGE);
        let after = resident();
        assert!(after - before < 16 * 1024, "{before} KiB, then {after}");
        buffer.fill(1.0);
    }

    proptest! {
        /// Whatever is taken and dropped in whatever order, no two buffers share a float, and all comes back.
        #[test]
        fn buffers_never_overlap(steps in proptest::collection::vec((1usize..20, any::<prop::sample::Index>(), any::<bool>()), 1..60)) {
            let arena = Arena::new();
            let mut held: Vec<(f32, ArenaBuffer)> = Vec::new();
            for (number, (pages, index, drops)) in steps.into_iter().enumerate() {
                if drops && !held.is_empty() {
                    drop(held.swap_remove(index.index(held.len())));
                } else {
                    let mut buffer = arena.take(pages * PAGE - 1);
                    buffer.fill(number as f32);
                    held.push((number as f32, buffer));
                }
                for (mark, buffer) in &held {
                    prop_assert!(buffer.iter().all(|value| value == mark));
                }
            }
            drop(held);
            let store = lock(&arena.store);
            prop_assert_eq!(store.lent, 0);
            prop_assert_eq!(store.free.iter().collect::<Vec<_>>(), [(&(0, 0), &CHUNK)]);
            prop_assert_eq!(store.by_length.iter().collect::<Vec<_>>(), [&(CHUNK, 0, 0)]);
        }
    }

    #[test]
    fn threads_share_it() {
        let arena = Arena::new();
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
