//! Tensors as a pickle describes them: a part of a storage, by offset, shape and strides.

use super::objects::{Id, Object, Objects};
use super::problem::{Problem, Result};

/// What the numbers of a storage are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F64,
    F32,
    F16,
    BF16,
    /// Integers, flags, complex numbers and bytes, of so many bytes each: no weights.
    Other(usize),
}

impl Element {
    pub(super) fn size(self) -> usize {
        match self {
            Element::F64 => 8,
            Element::F32 => 4,
            Element::F16 | Element::BF16 => 2,
            Element::Other(size) => size,
        }
    }

    /// `FloatStorage`, or `float32`.
    pub(super) fn named(name: &str) -> Option<Element> {
        Some(match name {
            "DoubleStorage" | "float64" => Element::F64,
            "FloatStorage" | "float32" => Element::F32,
            "HalfStorage" | "float16" => Element::F16,
            "BFloat16Storage" | "bfloat16" => Element::BF16,
            "ComplexDoubleStorage" | "complex128" => Element::Other(16),
            "LongStorage" | "ComplexFloatStorage" | "int64" | "uint64" | "complex64" => Element::Other(8),
            "IntStorage" | "QInt32Storage" | "int32" | "uint32" => Element::Other(4),
            "ShortStorage" | "int16" | "uint16" => Element::Other(2),
            "CharStorage" | "ByteStorage" | "BoolStorage" | "QInt8Storage" | "QUInt8Storage"
            | "UntypedStorage" | "int8" | "uint8" | "bool" => Element::Other(1),
            _ => return None,
        })
    }
}

/// Letters of a storage's key, which is a number.
const MOST_LETTERS: usize = 64;

/// What a persistent id names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Storage {
    pub(super) key: String,
    pub(super) element: Element,
    /// Elements of the whole storage.
    pub(super) length: usize,
    /// Where the part that is seen begins, in elements.
    pub(super) begin: usize,
    /// Elements of that part.
    pub(super) seen: usize,
}

impl Storage {
    /// `("storage", type, key, location, length)`, in old files with the part of it that is seen.
    pub(super) fn of(objects: &Objects<'_>, persistent: Id) -> Result<Option<Storage>> {
        let Object::Persistent(id) = objects.get(persistent) else { return Ok(None) };
        let Some([kind, class, key, _, length, more @ ..]) = objects.list(*id) else { return Ok(None) };
        if objects.text(*kind) != Some("storage") {
            return Ok(None);
        }
        if objects.text(*key).is_some_and(|key| key.len() > MOST_LETTERS) {
            return Ok(None);
        }
        let Some(key) = objects.key(*key) else { return Ok(None) };
        let bad = |what| Problem::Storage { key: key.clone(), what };
        let (_, name) = objects.class(*class).ok_or_else(|| bad("has no type"))?;
        let element = Element::named(name).ok_or_else(|| bad("has a type that is not known"))?;
        let length = objects.natural(*length).ok_or_else(|| bad("has no length"))?;
        let part = match more.first().and_then(|part| objects.list(*part)) {
            Some([_, begin, seen]) => Some((
                objects.natural(*begin).ok_or_else(|| bad("has a part without a begin"))?,
                objects.natural(*seen).ok_or_else(|| bad("has a part without a length"))?,
            )),
            _ => None,
        };
        let (begin, seen) = part.unwrap_or((0, length));
        if begin.checked_add(seen).is_none_or(|end| end > length) {
            return Err(bad("has a part beyond its end"));
        }
        Ok(Some(Storage { key, element, length, begin, seen }))
    }
}

/// Where the values of a tensor lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) storage: Storage,
    pub(super) element: Element,
    /// In elements from the begin of the storage.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

impl View {
    /// Elements of the tensor; none where they cannot be counted.
    pub(super) fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1_usize, |product, length| product.checked_mul(*length))
    }

    /// Checks that all of it lies in the part of the storage that is seen.
    pub(super) fn new(
        storage: Storage,
        element: Element,
        offset: usize,
        shape: Vec<usize>,
        strides: Vec<usize>,
    ) -> Result<View, &'static str> {
        let elements = |number: usize| Some(number.checked_mul(storage.element.size())? / element.size());
        let (begin, seen) = elements(storage.begin).zip(elements(storage.seen)).ok_or(BEYOND)?;
        // A dimension of one element is never stepped along.
        let strides: Vec<usize> =
            shape.iter().zip(strides).map(|(length, stride)| if *length > 1 { stride } else { 0 }).collect();
        let mut steps =
            shape.iter().zip(&strides).map(|(length, stride)| length.saturating_sub(1).checked_mul(*stride));
        let last = steps.try_fold(offset, |sum: usize, step| sum.checked_add(step?)).ok_or(BEYOND)?;
        let offset = begin.checked_add(offset).ok_or(BEYOND)?;
        let view = View { offset, storage, element, shape, strides };
        match view.count().ok_or(BEYOND)? {
            0 => Ok(view),
            _ if view.shape.len() == view.strides.len() && last < seen => Ok(view),
            _ => Err(BEYOND),
        }
    }
}

const BEYOND: &str = "reaches beyond the storage that is there";

/// A tensor, whatever it is wrapped in; none if the object is something else.
///
/// # Errors
/// If its description makes no sense, or a function is to make it that is not known here.
pub(super) fn tensor_of(objects: &Objects<'_>, id: Id) -> Result<Option<View>, Unread> {
    let mut id = id;
    // A parameter holds a tensor; a subclass holds how to make one.
    for _ in 0..MOST_WRAPPERS {
        let Some(instance) = objects.instance(id) else { return Ok(None) };
        let Some((module, name)) = objects.class(instance.class) else { return Ok(None) };
        let Some(arguments) = objects.list(instance.arguments) else { return Ok(None) };
        match (name, arguments) {
            ("_rebuild_tensor" | "_rebuild_tensor_v2", [storage, offset, shape, strides, ..])
                if module.starts_with("torch") =>
            {
                return rebuilt(objects, [*storage, *offset, *shape, *strides], None).map(Some);
            }
            ("_rebuild_tensor_v3", [storage, offset, shape, strides, _, _, dtype, ..])
                if module.starts_with("torch") =>
            {
                let dtype = objects.class(*dtype).and_then(|(_, name)| Element::named(name));
                let dtype = dtype.ok_or(Unread::Tensor("has a type that is not known"))?;
                return rebuilt(objects, [*storage, *offset, *shape, *strides], Some(dtype)).map(Some);
            }
            (
                "_rebuild_parameter" | "_rebuild_parameter_with_state" | "Parameter" | "Buffer" | "Variable",
                [data, ..],
            ) if module.starts_with("torch") => id = *data,
            ("_rebuild_from_type_v2" | "_rebuild_from_type", [function, _, inner, ..])
                if module.starts_with("torch") =>
            {
                let Some((_, name)) = objects.class(*function) else { return Ok(None) };
                let Some([storage, offset, shape, strides, ..]) = objects.list(*inner) else {
                    return Ok(None);
                };
                if !matches!(name, "_rebuild_tensor" | "_rebuild_tensor_v2") {
                    return Err(Unread::Function(format!("{module}.{name}")));
                }
                return rebuilt(objects, [*storage, *offset, *shape, *strides], None).map(Some);
            }
            // Sparse, quantised and other tensors, whose values lie in no storage as they are.
            (name, _) if module.starts_with("torch") && name.starts_with("_rebuild") => {
                return Err(Unread::Function(format!("{module}.{name}")));
            }
            _ => return Ok(None),
        }
    }
    Err(Unread::Tensor("is wrapped too often"))
}

const MOST_WRAPPERS: usize = 8;

/// Why something is not a tensor that is read, where its name is not known yet.
pub(super) enum Unread {
    Tensor(&'static str),
    Function(String),
    Storage(Problem),
}

impl Unread {
    pub(super) fn of(self, name: &str) -> Problem {
        match self {
            Unread::Tensor(what) => Problem::Tensor { name: name.to_owned(), what },
            Unread::Function(function) => Problem::Function { name: name.to_owned(), function },
            Unread::Storage(problem) => problem,
        }
    }
}

fn rebuilt(
    objects: &Objects<'_>,
    [storage, offset, shape, strides]: [Id; 4],
    dtype: Option<Element>,
) -> Result<View, Unread> {
    let lengths = |id: Id, what| {
        let all = objects.list(unwrapped(objects, id)).filter(|all| all.len() <= MOST_DIMENSIONS);
        let all = all.and_then(|all| all.iter().map(|length| objects.natural(*length)).collect());
        all.ok_or(Unread::Tensor(what))
    };
    let storage = Storage::of(objects, storage).map_err(Unread::Storage)?;
    let storage = storage.ok_or(Unread::Tensor("has no storage in this file"))?;
    let offset = objects.natural(offset).ok_or(Unread::Tensor("has no offset"))?;
    let (shape, strides) = (lengths(shape, "has no shape")?, lengths(strides, "has no strides")?);
    let element = dtype.unwrap_or(storage.element);
    View::new(storage, element, offset, shape, strides).map_err(Unread::Tensor)
}

const MOST_DIMENSIONS: usize = 16;

/// `torch.Size((2, 3))` is the tuple in it.
fn unwrapped(objects: &Objects<'_>, id: Id) -> Id {
    let inner = objects.instance(id).and_then(|instance| objects.list(instance.arguments));
    match inner {
        Some([only]) => *only,
        _ => id,
    }
}
