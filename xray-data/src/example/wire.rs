//! The protobuf wire format, as far as `tf.train.Example` needs it
//! (<https://protobuf.dev/programming-guides/encoding/>).

use super::ExampleProblem;

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// `int64` and the like.
    Varint(u64),
    /// Eight bytes, which no feature uses.
    Fixed64,
    /// `float`.
    Fixed32(&'a [u8; 4]),
    /// Strings, messages and packed lists.
    Bytes(&'a [u8]),
}

/// The fields of a message: number and value. Ends after the first problem.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Fields { rest: message }
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), ExampleProblem> {
        let tag = take_varint(&mut self.rest)?;
        let (field, wire_type) = (tag >> 3, (tag & 7) as u8);
        let value = match wire_type {
            0 => Value::Varint(take_varint(&mut self.rest)?),
            1 => take::<8>(&mut self.rest).map(|_| Value::Fixed64)?,
            2 => {
                let length = take_varint(&mut self.rest)?;
                let length = usize::try_from(length).map_err(|_| ExampleProblem::Truncated)?;
                let (value, rest) = self.rest.split_at_checked(length).ok_or(ExampleProblem::Truncated)?;
                self.rest = rest;
                Value::Bytes(value)
            }
            5 => Value::Fixed32(take(&mut self.rest)?),
            _ => return Err(ExampleProblem::WireType { field, wire_type }),
        };
        Ok((field, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), ExampleProblem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// The numbers of a packed list. Ends after the first problem.
#[derive(Clone, Debug, Default)]
pub(super) struct Varints<'a> {
    rest: &'a [u8],
}

impl<'a> Varints<'a> {
    pub(super) fn new(packed: &'a [u8]) -> Self {
        Varints { rest: packed }
    }
}

impl Iterator for Varints<'_> {
    type Item = Result<u64, ExampleProblem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let number = take_varint(&mut self.rest);
        if number.is_err() {
            self.rest = &[];
        }
        Some(number)
    }
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Result<&'a [u8; N], ExampleProblem> {
    let (value, after) = rest.split_first_chunk().ok_or(ExampleProblem::Truncated)?;
    *rest = after;
    Ok(value)
}

/// Seven bits a byte, lowest first; the top bit says that more follow. Bits beyond 64 are dropped, as
/// protobuf's own readers do.
fn take_varint(rest: &mut &[u8]) -> Result<u64, ExampleProblem> {
    let mut number = 0;
    for (i, &byte) in rest.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            *rest = &rest[i + 1..];
            return Ok(number);
        }
    }
    Err(if rest.len() < 10 { ExampleProblem::Truncated } else { ExampleProblem::Varint })
}

/// Appends `number` as protocol buffers store integers: seven bits a byte, lowest first.
pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// How many bytes [`put_varint`] appends.
pub(super) fn varint_len(number: u64) -> u64 {
    u64::from((64 - (number | 1).leading_zeros()).div_ceil(7))
}
