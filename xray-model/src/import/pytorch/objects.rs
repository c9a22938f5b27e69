//! What a pickle describes, as plain data: nothing is imported, called or executed. An object that stands in several
//! places is one object with several references, as in Python, so that no reference costs more than its number.

use super::problem::{Problem, Result};
use std::collections::HashMap;
use std::ops::Range;

/// Place of an object in [`Objects`].
pub(super) type Id = u32;

/// A part of the pickle's bytes.
pub(super) type Span = Range<u32>;

#[derive(Debug)]
pub(super) enum Object {
    None,
    Flag(bool),
    Integer(i64),
    Text(Span),
    /// A float, bytes, an integer beyond 64 bits: nothing that weights depend on.
    Other,
    /// A list, tuple or set.
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or a function, by module and name.
    Class(Span, Span),
    Instance(Box<Instance>),
    /// Something that lies outside the pickle, such as a storage.
    Persistent(Id),
}

/// The result of a call, which was not made, and what was done to it.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) class: Id,
    pub(super) arguments: Id,
    /// What was set as in a dict.
    pub(super) entries: Vec<(Id, Id)>,
    /// What was appended as to a list.
    pub(super) elements: Vec<Id>,
    /// What `__setstate__` or `__dict__` was given.
    pub(super) states: Vec<Id>,
}

/// All objects of one pickle.
pub(super) struct Objects<'a> {
    bytes: &'a [u8],
    all: Vec<Object>,
    integers: HashMap<i64, Id>,
}

/// A whole network pickled as a module has some tens of thousands.
const MOST: usize = 1 << 21;

impl<'a> Objects<'a> {
    /// The constants that [`Objects::none`], [`Objects::other`] and [`Objects::flag`] give, and nothing else.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let all = vec![Object::None, Object::Other, Object::Flag(false), Object::Flag(true)];
        Objects { bytes, all, integers: HashMap::new() }
    }

    pub(super) fn none(&self) -> Id {
        0
    }

    pub(super) fn other(&self) -> Id {
        1
    }

    pub(super) fn flag(&self, value: bool) -> Id {
        2 + Id::from(value)
    }

    pub(super) fn integer(&mut self, value: i64) -> Result<Id> {
        if let Some(id) = self.integers.get(&value) {
            return Ok(*id);
        }
        let id = self.add(Object::Integer(value))?;
        self.integers.insert(value, id);
        Ok(id)
    }

    pub(super) fn add(&mut self, object: Object) -> Result<Id> {
        if self.all.len() >= MOST {
            return Err(Problem::Limit { what: "objects", limit: MOST });
        }
        self.all.push(object);
        Ok((self.all.len() - 1) as Id)
    }

    pub(super) fn get(&self, id: Id) -> &Object {
        &self.all[id as usize]
    }

    pub(super) fn get_mut(&mut self, id: Id) -> &mut Object {
        &mut self.all[id as usize]
    }

    pub(super) fn ids(&self) -> Range<Id> {
        0..self.all.len() as Id
    }

    fn span(&self, span: &Span) -> Option<&'a str> {
        std::str::from_utf8(&self.bytes[span.start as usize..span.end as usize]).ok()
    }

    pub(super) fn text(&self, id: Id) -> Option<&'a str> {
        match self.get(id) {
            Object::Text(span) => self.span(span),
            _ => None,
        }
    }

    /// A text or an integer, as a dict's key and a storage's key may be either.
    pub(super) fn key(&self, id: Id) -> Option<String> {
        match self.get(id) {
            Object::Integer(value) => Some(value.to_string()),
            _ => self.text(id).map(str::to_owned),
        }
    }

    /// Module and name of a class or function.
    pub(super) fn class(&self, id: Id) -> Option<(&'a str, &'a str)> {
        match self.get(id) {
            Object::Class(module, name) => Some((self.span(module)?, self.span(name)?)),
            _ => None,
        }
    }

    pub(super) fn instance(&self, id: Id) -> Option<&Instance> {
        match self.get(id) {
            Object::Instance(instance) => Some(instance),
            _ => None,
        }
    }

    pub(super) fn list(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Object::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a dict or of an instance of a class like it.
    pub(super) fn entries(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.get(id) {
            Object::Dict(entries) => Some(entries),
            Object::Instance(instance) => Some(&instance.entries),
            _ => None,
        }
    }

    /// The value of a dict's entry.
    pub(super) fn entry(&self, dict: Id, key: &str) -> Option<Id> {
        let entries = self.entries(dict)?;
        entries.iter().rev().find(|(known, _)| self.text(*known) == Some(key)).map(|(_, value)| *value)
    }

    pub(super) fn natural(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            Object::Integer(value) => usize::try_from(*value).ok(),
            _ => None,
        }
    }
}
