//! The container of PyTorch 0.1.10 to 1.5: pickles one after another (a magic number, a version, the machine's byte order,
//! the saved object, the storages' keys), then the storages, each an element count and its bytes.

use super::names;
use super::objects::{Object, Objects};
use super::problem::{Problem, Result};
use super::tensor::Storage;
use super::unpickle::unpickle;
use super::{Contents, Storages};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

/// `0x1950a86a20f9469cfc6c`, little-endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// And in decimal digits, as the oldest protocols write numbers.
const MAGIC_DIGITS: &[u8] = b"119547037146038801333356";
/// Every protocol's first pickle has the number within its first bytes.
const FIRST: usize = 64;

pub(super) fn is_legacy(file: &[u8]) -> bool {
    let first = &file[..file.len().min(FIRST)];
    let has = |magic: &[u8]| first.windows(magic.len()).any(|bytes| bytes == magic);
    has(&MAGIC) || has(MAGIC_DIGITS)
}

pub(super) fn contents(file: &[u8]) -> Result<Contents<'_>> {
    let (_, _, at) = unpickle(file, 0)?;
    let (_, _, at) = unpickle(file, at)?;
    let (machine, root, at) = unpickle(file, at)?;
    if let Some(little) = machine.entry(root, "little_endian")
        && matches!(machine.get(little), Object::Flag(false))
    {
        return Err(Problem::BigEndian);
    }
    let (objects, root, at) = unpickle(file, at)?;
    let tensors = names::tensors(&objects, root, &|_| None)?;
    let (keys, list, at) = unpickle(file, at)?;
    let keys = keys.list(list).ok_or(Problem::Part("list of storages"))?.iter().map(|key| keys.key(*key));
    let storages = places(file, at, keys, &declared(&objects)?)?;
    Ok(Contents { tensors, storages: Box::new(Parts { file, storages }) })
}

/// Every storage that the pickle speaks of: nothing else tells how long each is.
fn declared(objects: &Objects<'_>) -> Result<HashMap<String, Storage>> {
    let mut declared: HashMap<String, Storage> = HashMap::new();
    for id in objects.ids() {
        let Some(storage) = Storage::of(objects, id)? else { continue };
        let size = |storage: &Storage| (storage.length, storage.element.size());
        if declared.get(&storage.key).is_some_and(|known| size(known) != size(&storage)) {
            return Err(Problem::Storage { key: storage.key, what: "has two lengths" });
        }
        declared.insert(storage.key.clone(), storage);
    }
    Ok(declared)
}

fn places(
    file: &[u8],
    begin: usize,
    keys: impl Iterator<Item = Option<String>>,
    declared: &HashMap<String, Storage>,
) -> Result<HashMap<String, Range<usize>>> {
    let mut places = HashMap::new();
    let mut at = begin;
    for key in keys {
        let key = key.ok_or(Problem::Part("names of storages"))?;
        let bad = |what| Problem::Storage { key: key.clone(), what };
        let storage = declared.get(&key).ok_or_else(|| bad("is used by nothing"))?;
        let count = file.get(at..).and_then(|rest| rest.first_chunk()).ok_or(Problem::Cut)?;
        if usize::try_from(u64::from_le_bytes(*count)) != Ok(storage.length) {
            return Err(bad("has another length than its tensors"));
        }
        let first = at + count.len();
        let length = storage.length.checked_mul(storage.element.size()).ok_or(Problem::Cut)?;
        let end = first.checked_add(length).filter(|end| *end <= file.len()).ok_or(Problem::Cut)?;
        places.insert(key, first..end);
        at = end;
    }
    Ok(places)
}

/// Storages that lie in memory as they are.
pub(super) struct Parts<'a> {
    pub(super) file: &'a [u8],
    pub(super) storages: HashMap<String, Range<usize>>,
}

impl<'a> Storages<'a> for Parts<'a> {
    fn bytes(&mut self, key: &str, length: usize) -> Result<Cow<'a, [u8]>> {
        let missing = || Problem::Storage { key: key.to_owned(), what: "is not in the file" };
        let part = &self.file[self.storages.get(key).ok_or_else(missing)?.clone()];
        Ok(Cow::Borrowed(&part[..part.len().min(length)]))
    }
}
