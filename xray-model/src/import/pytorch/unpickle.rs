//! The machine that a pickle is a program of, as Python's `pickletools` documents its operations, protocols 0 to 5. It
//! only writes down what the program describes. Its memory is bounded by the bytes that are there and by [`MOST_STEPS`].

use super::objects::{Id, Instance, Object, Objects, Span};
use super::problem::{Problem, Result};
use std::collections::HashMap;

/// Values that are pushed at most.
const MOST_STEPS: usize = 1 << 22;

/// Reads one pickle of `bytes` from `at` on; gives what it describes, its root, and where the next byte is.
pub(super) fn unpickle(bytes: &[u8], at: usize) -> Result<(Objects<'_>, Id, usize)> {
    if u32::try_from(bytes.len()).is_err() {
        // Spans are of 32 bits: of a legacy file that is larger, only the pickles at its begin are looked at.
        return unpickle(&bytes[..u32::MAX as usize], at);
    }
    let objects = Objects::new(bytes);
    let mut machine =
        Machine { bytes, at, objects, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), steps: 0 };
    let root = machine.run()?;
    Ok((machine.objects, root, machine.at))
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    objects: Objects<'a>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    steps: usize,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Id> {
        loop {
            let operation = self.take(1)?[0];
            match operation {
                b'.' => return self.pop(),
                b'(' => self.mark()?,
                b'0' => self.discard()?,
                b'1' => drop(self.pop_mark()?),
                b'2' => self.push(self.top()?)?,
                b'N' => self.push(self.objects.none())?,
                0x88 | 0x89 => self.push(self.objects.flag(operation == 0x88))?,
                b'I' | b'L' => self.decimal()?,
                b'J' => {
                    let value = i32::from_le_bytes(self.array()?);
                    self.push_integer(value.into())?;
                }
                b'K' | b'M' => {
                    let value = self.length(if operation == b'K' { 1 } else { 2 })?;
                    self.push_integer(value as i64)?;
                }
                0x8a => self.long(1)?,
                0x8b => self.long(4)?,
                b'F' => self.line().and_then(|_| self.push(self.objects.other()))?,
                b'G' => self.take(8).and_then(|_| self.push(self.objects.other()))?,
                b'S' => self.quoted()?,
                b'V' => self.line().and_then(|span| self.push_new(Object::Text(span)))?,
                b'U' | 0x8c => self.sized(1, true)?,
                b'T' | b'X' => self.sized(4, true)?,
                0x8d => self.sized(8, true)?,
                b'C' => self.sized(1, false)?,
                b'B' => self.sized(4, false)?,
                0x8e | 0x96 => self.sized(8, false)?,
                b')' | b']' | 0x8f => self.push_new(Object::List(Vec::new()))?,
                b'}' => self.push_new(Object::Dict(Vec::new()))?,
                b't' | b'l' | 0x91 => {
                    let items = self.pop_mark()?;
                    self.push_new(Object::List(items))?;
                }
                0x85..=0x87 => {
                    let mut items: Vec<Id> = Vec::new();
                    for _ in 0x84..operation {
                        items.push(self.pop()?);
                    }
                    items.reverse();
                    self.push_new(Object::List(items))?;
                }
                b'd' => {
                    let items = self.pop_mark()?;
                    let entries = self.pairs(&items)?;
                    self.push_new(Object::Dict(entries))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(&[item])?;
                }
                b'e' | 0x90 => {
                    let items = self.pop_mark()?;
                    self.append(&items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set(&[key, value])?;
                }
                b'u' => {
                    let items = self.pop_mark()?;
                    self.set(&items)?;
                }
                b'c' => {
                    let class = Object::Class(self.line()?, self.line()?);
                    self.push_new(class)?;
                }
                0x93 => self.stack_global()?,
                b'i' => {
                    let class = Object::Class(self.line()?, self.line()?);
                    let (class, items) = (self.objects.add(class)?, self.pop_mark()?);
                    self.call(class, items)?;
                }
                b'o' => {
                    let mut items = self.pop_mark()?;
                    let class =
                        if items.is_empty() { return Err(self.damaged("no class")) } else { items.remove(0) };
                    self.call(class, items)?;
                }
                b'R' | 0x81 => {
                    let (arguments, class) = (self.pop()?, self.pop()?);
                    self.instance(class, arguments, Vec::new())?;
                }
                0x92 => {
                    let (named, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                    self.instance(class, arguments, vec![named])?;
                }
                b'b' => {
                    let (state, built) = (self.pop()?, self.top()?);
                    if let Object::Instance(instance) = self.objects.get_mut(built) {
                        instance.states.push(state);
                    }
                }
                b'P' => {
                    let line = self.line()?;
                    let id = self.objects.add(Object::Text(line))?;
                    self.push_new(Object::Persistent(id))?;
                }
                b'Q' => {
                    let id = self.pop()?;
                    self.push_new(Object::Persistent(id))?;
                }
                b'g' | b'p' => {
                    let line = self.line()?;
                    let place = self.number(&line).and_then(|number| u32::try_from(number).ok());
                    let place = place.ok_or_else(|| self.damaged("no place"))?;
                    if operation == b'g' { self.recall(place)? } else { self.remember(place)? }
                }
                b'h' | b'j' => {
                    let place = self.length(if operation == b'h' { 1 } else { 4 })?;
                    self.recall(place as u32)?;
                }
                b'q' | b'r' => {
                    let place = self.length(if operation == b'q' { 1 } else { 4 })?;
                    self.remember(place as u32)?;
                }
                0x94 => self.remember(self.memo.len() as u32)?,
                0x80 => drop(self.take(1)?),
                0x95 => drop(self.take(8)?),
                _ => return Err(self.damaged("an operation that is not known")),
            }
        }
    }

    fn damaged(&self, what: &'static str) -> Problem {
        Problem::Pickle { at: self.at, what }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let rest = self.bytes.get(self.at..).ok_or(Problem::Cut)?;
        let part = rest.get(..length).ok_or(Problem::Cut)?;
        self.at += length;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many as were taken"))
    }

    /// An unsigned number of so many bytes.
    fn length(&mut self, bytes: usize) -> Result<usize> {
        let mut whole = [0; 8];
        whole[..bytes].copy_from_slice(self.take(bytes)?);
        usize::try_from(u64::from_le_bytes(whole)).map_err(|_| Problem::Cut)
    }

    fn span_of(&mut self, length: usize) -> Result<Span> {
        let start = self.at as u32;
        self.take(length)?;
        Ok(start..self.at as u32)
    }

    /// The rest of a line.
    fn line(&mut self) -> Result<Span> {
        let rest = self.bytes.get(self.at..).ok_or(Problem::Cut)?;
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or(Problem::Cut)?;
        let span = self.span_of(length)?;
        self.at += 1;
        Ok(span)
    }

    fn number(&self, line: &Span) -> Option<i64> {
        let text = std::str::from_utf8(&self.bytes[line.start as usize..line.end as usize]).ok()?;
        text.trim().trim_end_matches('L').parse().ok()
    }

    fn decimal(&mut self) -> Result<()> {
        let line = self.line()?;
        match &self.bytes[line.start as usize..line.end as usize] {
            b"00" | b"01" => {
                let value = self.bytes[line.end as usize - 1] == b'1';
                self.push(self.objects.flag(value))
            }
            _ => match self.number(&line) {
                Some(value) => self.push_integer(value),
                None => self.push(self.objects.other()),
            },
        }
    }

    /// A signed number whose length comes first, in so many bytes.
    fn long(&mut self, bytes: usize) -> Result<()> {
        let length = self.length(bytes)?;
        let digits = self.take(length)?;
        if length > 8 {
            return self.push(self.objects.other());
        }
        let negative = digits.last().is_some_and(|byte| *byte >= 0x80);
        let mut whole = if negative { [0xff; 8] } else { [0; 8] };
        whole[..length].copy_from_slice(digits);
        self.push_integer(i64::from_le_bytes(whole))
    }

    fn quoted(&mut self) -> Result<()> {
        let line = self.line()?;
        let inside = if line.len() >= 2 { line.start + 1..line.end - 1 } else { line };
        self.push_new(Object::Text(inside))
    }

    /// Text or bytes whose length comes first, in so many bytes.
    fn sized(&mut self, bytes: usize, is_text: bool) -> Result<()> {
        let length = self.length(bytes)?;
        let span = self.span_of(length)?;
        if is_text { self.push_new(Object::Text(span)) } else { self.push(self.objects.other()) }
    }

    fn push(&mut self, id: Id) -> Result<()> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return Err(Problem::Limit { what: "values", limit: MOST_STEPS });
        }
        self.stack.push(id);
        Ok(())
    }

    fn push_new(&mut self, object: Object) -> Result<()> {
        let id = self.objects.add(object)?;
        self.push(id)
    }

    fn push_integer(&mut self, value: i64) -> Result<()> {
        let id = self.objects.integer(value)?;
        self.push(id)
    }

    fn mark(&mut self) -> Result<()> {
        if self.marks.len() >= MOST_STEPS {
            return Err(Problem::Limit { what: "values", limit: MOST_STEPS });
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn top(&self) -> Result<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack[floor..].last().copied().ok_or_else(|| self.damaged("a value is missing"))
    }

    fn pop(&mut self) -> Result<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// Drops a value, or a mark that has none above it.
    fn discard(&mut self) -> Result<()> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>> {
        let floor = self.marks.pop().ok_or_else(|| self.damaged("a mark is missing"))?;
        Ok(self.stack.split_off(floor))
    }

    fn pairs(&self, items: &[Id]) -> Result<Vec<(Id, Id)>> {
        let (pairs, rest) = items.as_chunks();
        if !rest.is_empty() {
            return Err(self.damaged("a key without a value"));
        }
        Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
    }

    fn append(&mut self, items: &[Id]) -> Result<()> {
        let top = self.top()?;
        match self.objects.get_mut(top) {
            Object::List(list) => list.extend_from_slice(items),
            Object::Instance(instance) => instance.elements.extend_from_slice(items),
            _ => return Err(self.damaged("something is appended to what is not a list")),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<()> {
        let (pairs, top) = (self.pairs(items)?, self.top()?);
        match self.objects.get_mut(top) {
            Object::Dict(entries) => entries.extend(pairs),
            Object::Instance(instance) => instance.entries.extend(pairs),
            _ => return Err(self.damaged("an entry of what is not a dict")),
        }
        Ok(())
    }

    fn stack_global(&mut self) -> Result<()> {
        let (name, module) = (self.pop()?, self.pop()?);
        match (self.objects.get(module), self.objects.get(name)) {
            (Object::Text(module), Object::Text(name)) => {
                let class = Object::Class(module.clone(), name.clone());
                self.push_new(class)
            }
            _ => Err(self.damaged("a class without a name")),
        }
    }

    fn call(&mut self, class: Id, arguments: Vec<Id>) -> Result<()> {
        let arguments = self.objects.add(Object::List(arguments))?;
        self.instance(class, arguments, Vec::new())
    }

    fn instance(&mut self, class: Id, arguments: Id, states: Vec<Id>) -> Result<()> {
        let instance = Instance { class, arguments, entries: Vec::new(), elements: Vec::new(), states };
        self.push_new(Object::Instance(Box::new(instance)))
    }

    fn recall(&mut self, place: u32) -> Result<()> {
        let id = self.memo.get(&place).copied().ok_or_else(|| self.damaged("nothing is kept there"))?;
        self.push(id)
    }

    fn remember(&mut self, place: u32) -> Result<()> {
        let top = self.top()?;
        if self.memo.len() >= MOST_STEPS {
            return Err(Problem::Limit { what: "values", limit: MOST_STEPS });
        }
        self.memo.insert(place, top);
        Ok(())
    }
}
