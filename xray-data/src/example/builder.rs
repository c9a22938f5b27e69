//! Writing a `tf.train.Example`.

use super::wire::{put_varint, varint_len};
use std::collections::BTreeMap;

const FIELD_1: u8 = 0x0a;
const FIELD_2: u8 = 0x12;
const FIELD_3: u8 = 0x1a;

/// Collects features of one value each and writes them sorted by name, so that equal features give equal
/// bytes. A name given twice keeps its last value.
#[derive(Clone, Debug, Default)]
pub struct ExampleBuilder<'a> {
    features: BTreeMap<&'a str, List<'a>>,
}

/// A list of one value: the field of `Feature` that it is, and its message in two pieces, so that an image
/// is copied once.
#[derive(Clone, Debug)]
struct List<'a> {
    tag: u8,
    head: Vec<u8>,
    bytes: &'a [u8],
}

impl List<'_> {
    fn len(&self) -> u64 {
        (self.head.len() + self.bytes.len()) as u64
    }
}

impl<'a> ExampleBuilder<'a> {
    /// No features yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A list of one byte string: text or an encoded image.
    #[must_use]
    pub fn bytes(mut self, name: &'a str, bytes: &'a [u8]) -> Self {
        let mut head = vec![FIELD_1];
        put_varint(&mut head, bytes.len() as u64);
        self.features.insert(name, List { tag: FIELD_1, head, bytes });
        self
    }

    /// A list of one float.
    #[must_use]
    pub fn float(mut self, name: &'a str, value: f32) -> Self {
        let mut head = vec![FIELD_1, 4];
        head.extend(value.to_le_bytes());
        self.features.insert(name, List { tag: FIELD_2, head, bytes: &[] });
        self
    }

    /// A list of one integer.
    #[must_use]
    pub fn int64(mut self, name: &'a str, value: i64) -> Self {
        let number = value.cast_unsigned();
        let mut head = vec![FIELD_1, varint_len(number) as u8];
        put_varint(&mut head, number);
        self.features.insert(name, List { tag: FIELD_3, head, bytes: &[] });
        self
    }

    /// The serialized record.
    pub fn encode(&self) -> Vec<u8> {
        let features: u64 = self.features.iter().map(|(name, list)| field_len(entry_len(name, list))).sum();
        let mut out = Vec::with_capacity(field_len(features) as usize);
        put_field(&mut out, FIELD_1, features);
        for (name, list) in &self.features {
            put_field(&mut out, FIELD_1, entry_len(name, list));
            put_field(&mut out, FIELD_1, name.len() as u64);
            out.extend(name.as_bytes());
            put_field(&mut out, FIELD_2, field_len(list.len()));
            put_field(&mut out, list.tag, list.len());
            out.extend(&list.head);
            out.extend(list.bytes);
        }
        out
    }
}

/// Length of a map entry: its name, and the feature that holds the list.
fn entry_len(name: &str, list: &List<'_>) -> u64 {
    field_len(name.len() as u64) + field_len(field_len(list.len()))
}

/// Length of a field with its tag and length, for the small field numbers used here.
fn field_len(content: u64) -> u64 {
    1 + varint_len(content) + content
}

fn put_field(out: &mut Vec<u8>, tag: u8, length: u64) {
    out.push(tag);
    put_varint(out, length);
}
