//! The container of PyTorch before 0.1.10, in which the oldest files of torchvision are: an archive of tables of storages
//! and of tensors, and of a pickle that names the tensors by number.

use super::Contents;
use super::legacy::Parts;
use super::names;
use super::objects::Object;
use super::problem::{Problem, Result};
use super::tensor::{Element, Storage, View};
use super::unpickle::unpickle;
use std::collections::HashMap;
use std::ops::Range;

const MAGIC: Range<usize> = 257..262;

pub(super) fn is_tar(file: &[u8]) -> bool {
    file.get(MAGIC) == Some(b"ustar")
}

pub(super) fn contents(file: &[u8]) -> Result<Contents<'_>> {
    let (storages, numbers) = storages(part(file, "storages")?)?;
    let tensors = tensors(part(file, "tensors")?, &storages)?;
    let pickle = part(file, "pickle")?;
    let (objects, root, _) = unpickle(pickle, 0)?;
    let outside = |id| match objects.get(id) {
        Object::Persistent(key) => tensors.get(&objects.key(*key)?).cloned(),
        _ => None,
    };
    let tensors = names::tensors(&objects, root, &outside)?;
    let storages = storages.into_iter().map(|(key, (_, place))| (key, place)).collect();
    Ok(Contents { tensors, storages: Box::new(Parts { file: numbers, storages }) })
}

/// A file of the archive.
fn part<'a>(file: &'a [u8], name: &'static str) -> Result<&'a [u8]> {
    let damaged = |error: std::io::Error| Problem::Archive(error.to_string());
    let mut archive = ::tar::Archive::new(file);
    for entry in archive.entries().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let path = entry.path_bytes();
        if path.strip_prefix(b"./").unwrap_or(&path) != name.as_bytes() {
            continue;
        }
        let first = usize::try_from(entry.raw_file_position()).map_err(|_| Problem::Cut)?;
        let length = usize::try_from(entry.size()).map_err(|_| Problem::Cut)?;
        let end = first.checked_add(length).ok_or(Problem::Cut)?;
        return file.get(first..end).ok_or(Problem::Cut);
    }
    Err(Problem::Part(name))
}

type Table<'a> = (HashMap<String, (Storage, Range<usize>)>, &'a [u8]);

/// Reads a count, then for each storage its key, location and type, an element count and the bytes; then parts of storages
/// that are storages themselves. Gives where each lies.
fn storages(table: &[u8]) -> Result<Table<'_>> {
    let mut known = HashMap::new();
    let (count, mut at) = count(table)?;
    for _ in 0..count {
        let (objects, root, next) = unpickle(table, at)?;
        let Some([key, _, class]) = objects.list(root) else {
            return Err(Problem::Part("table of storages"));
        };
        let key = objects.key(*key).ok_or(Problem::Part("names of storages"))?;
        let bad = |what| Problem::Storage { key: key.clone(), what };
        let element = objects.class(*class).and_then(|(_, name)| Element::named(name));
        let element = element.ok_or_else(|| bad("has a type that is not known"))?;
        let mut fields = Fields { table, at: next };
        let length = fields.natural()?;
        let bytes = length.checked_mul(element.size()).ok_or(Problem::Cut)?;
        let end = fields.at.checked_add(bytes).filter(|end| *end <= table.len()).ok_or(Problem::Cut)?;
        let storage = Storage { key: key.clone(), element, length, begin: 0, seen: length };
        known.insert(key, (storage, fields.at..end));
        at = end;
    }
    let (objects, views, _) = unpickle(table, at)?;
    for view in objects.list(views).unwrap_or_default() {
        let Some([key, of, begin, length]) = objects.list(*view) else { continue };
        let [Some(key), Some(of)] = [key, of].map(|key| objects.key(*key)) else { continue };
        let missing = || Problem::Storage { key: of.clone(), what: "is not in the file" };
        let (whole, place) = known.get(&of).ok_or_else(missing)?;
        let [begin, length] = [begin, length].map(|number| objects.natural(*number));
        let (begin, length) = begin.zip(length).ok_or(Problem::Cut)?;
        if begin.checked_add(length).is_none_or(|end| end > whole.length) {
            return Err(Problem::Storage { key: of, what: "has a part beyond its end" });
        }
        let size = whole.element.size();
        let first = place.start + begin * size;
        let part = Storage { key: key.clone(), element: whole.element, length, begin: 0, seen: length };
        known.insert(key, (part, first..first + length * size));
    }
    Ok((known, table))
}

/// Reads a count, then for each tensor its key, storage and type, the number of dimensions, shape, strides and offset.
fn tensors(
    table: &[u8],
    storages: &HashMap<String, (Storage, Range<usize>)>,
) -> Result<HashMap<String, View>> {
    let mut tensors = HashMap::new();
    let (count, mut at) = count(table)?;
    for _ in 0..count {
        let (objects, root, next) = unpickle(table, at)?;
        let Some([key, storage, _]) = objects.list(root) else {
            return Err(Problem::Part("table of tensors"));
        };
        let [Some(key), Some(storage)] = [key, storage].map(|key| objects.key(*key)) else {
            return Err(Problem::Part("names of tensors"));
        };
        let bad = |what| Problem::Tensor { name: key.clone(), what };
        let (storage, _) = storages.get(&storage).ok_or_else(|| bad("has no storage in this file"))?;
        let mut fields = Fields { table, at: next };
        // The number of dimensions is of 32 bits, then four bytes mean nothing.
        let dimensions =
            usize::try_from(i32::from_le_bytes(fields.take()?)).map_err(|_| bad("has no shape"))?;
        let _: [u8; 4] = fields.take()?;
        if dimensions > MOST_DIMENSIONS {
            return Err(bad("has no shape"));
        }
        let mut lengths = || (0..dimensions).map(|_| fields.natural()).collect::<Result<Vec<_>>>();
        let (shape, strides) = (lengths()?, lengths()?);
        let offset = fields.natural()?;
        at = fields.at;
        let view = View::new(storage.clone(), storage.element, offset, shape, strides).map_err(bad)?;
        tensors.insert(key, view);
    }
    Ok(tensors)
}

const MOST_DIMENSIONS: usize = 16;

fn count(table: &[u8]) -> Result<(usize, usize)> {
    let (objects, root, at) = unpickle(table, 0)?;
    Ok((objects.natural(root).ok_or(Problem::Part("number of tensors"))?, at))
}

struct Fields<'a> {
    table: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.table.get(self.at..).and_then(|rest| rest.first_chunk()).ok_or(Problem::Cut)?;
        self.at += N;
        Ok(*bytes)
    }

    fn natural(&mut self) -> Result<usize> {
        usize::try_from(i64::from_le_bytes(self.take()?)).map_err(|_| Problem::Cut)
    }
}
