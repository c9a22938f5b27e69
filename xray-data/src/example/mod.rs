//! `tf.train.Example`: a record as named lists of bytes, integers or floats, read by name and in place.
//!
//! Only the three messages of `tensorflow/core/example/{example,feature}.proto` exist here, so this is a
//! hand-written reader of the protobuf wire format: any order of fields, packed and unpacked lists, unknown
//! fields skipped, and nothing copied.

mod builder;
mod wire;

pub use builder::ExampleBuilder;
pub use wire::put_varint;
use wire::{Fields, Value, Varints};

/// Why bytes are no `tf.train.Example`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExampleProblem {
    /// A field says it is longer than what holds it.
    #[error("a protobuf field ends outside its message")]
    Truncated,
    /// A number of more than ten bytes.
    #[error("a protobuf number is longer than 64 bits")]
    Varint,
    /// Groups, and wire types that do not exist.
    #[error("protobuf field {field} has wire type {wire_type}, which no feature uses")]
    WireType {
        /// The field's number.
        field: u64,
        /// The low three bits of its tag.
        wire_type: u8,
    },
    /// Names of features are text.
    #[error("the name of a feature is not UTF-8")]
    Name,
    /// More features than any record of an image has.
    #[error("the record has more than {MAX_FEATURES} features")]
    Features,
    /// Packed floats are four bytes each.
    #[error("a packed list of floats has {bytes} bytes, which is not a multiple of 4")]
    Floats {
        /// Length of the list.
        bytes: usize,
    },
}

/// The most features of a record: in memory each takes twenty times its shortest form.
pub const MAX_FEATURES: usize = 4096;

/// Bytes of a PNG, or of a JPEG as this project writes it, that hold the image's size.
pub(crate) const IMAGE_HEAD: usize = 128;

type Result<T> = std::result::Result<T, ExampleProblem>;

/// The features of one record.
///
/// ```
/// use xray_data::{Example, ExampleBuilder};
/// let record = ExampleBuilder::new().bytes("image_id", b"a.png").int64("Mass", 1).encode();
/// let example = Example::parse(&record).expect("just built");
/// assert_eq!(example.get("Mass").and_then(|feature| feature.as_i64()), Some(1));
/// assert_eq!(example.names().collect::<Vec<_>>(), ["Mass", "image_id"]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Example<'a> {
    features: Vec<(&'a str, Feature<'a>)>,
}

impl<'a> Example<'a> {
    /// Reads a serialized `tf.train.Example`. All of it is checked here, so that lists cannot fail later.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut features = Vec::with_capacity(24);
        for message in messages(bytes, 1) {
            for entry in messages(message?, 1) {
                if features.len() == MAX_FEATURES {
                    return Err(ExampleProblem::Features);
                }
                features.push(parse_entry(entry?)?);
            }
        }
        Ok(Example { features })
    }

    /// The feature of that name; the last one if there are several, as protobuf's maps have it.
    pub fn get(&self, name: &str) -> Option<Feature<'a>> {
        self.features.iter().rev().find(|(key, _)| *key == name).map(|(_, feature)| *feature)
    }

    /// All names with their features, in stored order.
    pub(crate) fn features(&self) -> impl Iterator<Item = (&'a str, Feature<'a>)> {
        self.features.iter().copied()
    }

    /// Checksum of the record that `self` was read from, without its longest list of bytes, which is the image; of
    /// that, the first bytes count. Whoever reads labels and names compares it, without reading all of the image.
    pub(crate) fn crc_without_image(&self, payload: &[u8]) -> u32 {
        let lists = self.features.iter().filter_map(|(_, feature)| feature.as_bytes());
        let Some(image) = lists.max_by_key(|list| list.len()) else { return crc32c::crc32c(payload) };
        let start = image.as_ptr().addr() - payload.as_ptr().addr();
        let (before, after) = (start + image.len().min(IMAGE_HEAD), start + image.len());
        crc32c::crc32c_append(crc32c::crc32c(&payload[..before]), &payload[after..])
    }

    /// All names, in stored order.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.features.iter().map(|(name, _)| *name)
    }
}

/// One list of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Feature<'a> {
    /// Strings or images.
    Bytes(BytesList<'a>),
    /// `float` values.
    Float(FloatList<'a>),
    /// `int64` values.
    Int64(Int64List<'a>),
    /// A name without a list.
    Empty,
}

impl<'a> Feature<'a> {
    /// `bytes`, `float`, `int64` or `nothing`, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Feature::Bytes(_) => "bytes",
            Feature::Float(_) => "float",
            Feature::Int64(_) => "int64",
            Feature::Empty => "nothing",
        }
    }

    /// The first string of a bytes list.
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        if let Feature::Bytes(list) = self { list.first() } else { None }
    }

    /// The first number of an `int64` list.
    pub fn as_i64(&self) -> Option<i64> {
        if let Feature::Int64(list) = self { list.first() } else { None }
    }

    /// The first number of a list of numbers of either kind.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Feature::Int64(list) => list.first().map(|value| value as f64),
            Feature::Float(list) => list.first().map(f64::from),
            Feature::Bytes(_) | Feature::Empty => None,
        }
    }

    fn parse(message: &'a [u8]) -> Result<Self> {
        let mut feature = Feature::Empty;
        for field in Fields::new(message) {
            feature = match field? {
                (1, Value::Bytes(list)) => BytesList::parse(list).map(Feature::Bytes)?,
                (2, Value::Bytes(list)) => FloatList::parse(list).map(Feature::Float)?,
                (3, Value::Bytes(list)) => Int64List::parse(list).map(Feature::Int64)?,
                _ => feature,
            };
        }
        Ok(feature)
    }
}

/// A checked list of byte strings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BytesList<'a>(&'a [u8]);

impl<'a> BytesList<'a> {
    /// All strings in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        messages(self.0, 1).map_while(Result::ok)
    }

    /// The first string.
    pub fn first(&self) -> Option<&'a [u8]> {
        self.iter().next()
    }

    fn parse(message: &'a [u8]) -> Result<Self> {
        messages(message, 1).try_for_each(|string| string.map(drop))?;
        Ok(BytesList(message))
    }
}

/// A checked list of floats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FloatList<'a>(&'a [u8]);

impl<'a> FloatList<'a> {
    /// All numbers in order.
    pub fn iter(&self) -> impl Iterator<Item = f32> + use<'a> {
        Fields::new(self.0)
            .map_while(Result::ok)
            .flat_map(|field| match field {
                (1, Value::Fixed32(bytes)) => std::slice::from_ref(bytes),
                (1, Value::Bytes(packed)) => packed.as_chunks().0,
                _ => &[],
            })
            .map(|bytes| f32::from_le_bytes(*bytes))
    }

    /// The first number.
    pub fn first(&self) -> Option<f32> {
        self.iter().next()
    }

    fn parse(message: &'a [u8]) -> Result<Self> {
        for field in Fields::new(message) {
            if let (1, Value::Bytes(packed)) = field?
                && !packed.len().is_multiple_of(4)
            {
                return Err(ExampleProblem::Floats { bytes: packed.len() });
            }
        }
        Ok(FloatList(message))
    }
}

/// A checked list of integers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Int64List<'a>(&'a [u8]);

impl<'a> Int64List<'a> {
    /// All numbers in order.
    pub fn iter(&self) -> impl Iterator<Item = i64> + use<'a> {
        Fields::new(self.0)
            .map_while(Result::ok)
            .flat_map(|field| {
                let (single, packed) = match field {
                    (1, Value::Varint(value)) => (Some(value), Varints::default()),
                    (1, Value::Bytes(packed)) => (None, Varints::new(packed)),
                    _ => (None, Varints::default()),
                };
                single.into_iter().chain(packed.map_while(Result::ok))
            })
            .map(u64::cast_signed)
    }

    /// The first number.
    pub fn first(&self) -> Option<i64> {
        self.iter().next()
    }

    fn parse(message: &'a [u8]) -> Result<Self> {
        for field in Fields::new(message) {
            if let (1, Value::Bytes(packed)) = field? {
                Varints::new(packed).try_for_each(|number| number.map(drop))?;
            }
        }
        Ok(Int64List(message))
    }
}

/// The fields of that number that hold bytes.
fn messages(bytes: &[u8], number: u64) -> impl Iterator<Item = Result<&[u8]>> {
    Fields::new(bytes).filter_map(move |field| match field {
        Ok((found, Value::Bytes(message))) if found == number => Some(Ok(message)),
        Ok(_) => None,
        Err(problem) => Some(Err(problem)),
    })
}

fn parse_entry(entry: &[u8]) -> Result<(&str, Feature<'_>)> {
    let (mut name, mut feature) = ("", Feature::Empty);
    for field in Fields::new(entry) {
        match field? {
            (1, Value::Bytes(text)) => name = str::from_utf8(text).map_err(|_| ExampleProblem::Name)?,
            (2, Value::Bytes(message)) => feature = Feature::parse(message)?,
            _ => {}
        }
    }
    Ok((name, feature))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `features { feature { key: "a" value { FIELD { VALUES } } } }`
    fn one_feature(kind: u8, values: &[u8]) -> Vec<u8> {
        let wrap = |tag: u8, inner: &[u8]| [&[tag, inner.len() as u8], inner].concat();
        let list = wrap(kind << 3 | 2, values);
        let entry = [wrap(0x0a, b"a"), wrap(0x12, &list)].concat();
        wrap(0x0a, &wrap(0x0a, &entry))
    }

    fn check_ints(values: &[u8], expected: &[i64]) {
        let record = one_feature(3, values);
        let example = Example::parse(&record).expect("well formed");
        let Some(Feature::Int64(list)) = example.get("a") else { panic!("{example:?}") };
        assert_eq!(list.iter().collect::<Vec<_>>(), expected);
    }

    fn check_floats(values: &[u8], expected: &[f32]) {
        let record = one_feature(2, values);
        let example = Example::parse(&record).expect("well formed");
        let Some(Feature::Float(list)) = example.get("a") else { panic!("{example:?}") };
        assert_eq!(list.iter().collect::<Vec<_>>(), expected);
    }

    fn check_refused(bytes: &[u8], expected: ExampleProblem) {
        assert_eq!(Example::parse(bytes), Err(expected));
    }

    #[test]
    fn lists_are_read_packed_unpacked_and_mixed() {
        check_ints(&[0x0a, 3, 1, 0x96, 1], &[1, 150]);
        check_ints(&[0x08, 1, 0x08, 0x96, 1], &[1, 150]);
        check_ints(&[0x08, 7, 0x0a, 2, 1, 0, 0x08, 9], &[7, 1, 0, 9]);
        check_ints(&[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], &[-1]);
        check_ints(&[], &[]);
        check_floats(&[0x0a, 8, 0, 0, 128, 63, 0, 0, 0, 64], &[1.0, 2.0]);
        check_floats(&[0x0d, 0, 0, 128, 63, 0x0d, 0, 0, 0, 64], &[1.0, 2.0]);
    }

    #[test]
    fn unknown_fields_are_skipped() {
        // Field 5 as varint, as fixed 64, as fixed 32 and as bytes, before a value.
        let unknown = [0x28, 1, 0x29, 0, 0, 0, 0, 0, 0, 0, 0, 0x2d, 0, 0, 0, 0, 0x2a, 1, 7];
        check_ints(&[&unknown[..], &[0x08, 3]].concat(), &[3]);
    }

    #[test]
    fn damaged_messages_are_refused() {
        check_refused(&[0x0a, 5, 1], ExampleProblem::Truncated);
        check_refused(&[0x0a], ExampleProblem::Truncated);
        check_refused(&[0x0b, 0x0c], ExampleProblem::WireType { field: 1, wire_type: 3 });
        check_refused(&[0xff; 11], ExampleProblem::Varint);
        check_refused(&one_feature(2, &[0x0a, 3, 0, 0, 0]), ExampleProblem::Floats { bytes: 3 });
        check_refused(&one_feature(3, &[0x0a, 1, 0x80]), ExampleProblem::Truncated);
        let mut name = one_feature(3, &[]);
        let at = name.iter().position(|&byte| byte == b'a').expect("the name");
        name[at] = 0xff;
        check_refused(&name, ExampleProblem::Name);
    }

    #[test]
    fn features_without_end_take_no_memory() {
        let entries = [0x0a, 0x00].repeat(MAX_FEATURES + 1);
        let mut record = vec![0x0a];
        put_varint(&mut record, entries.len() as u64);
        record.extend(entries);
        check_refused(&record, ExampleProblem::Features);
    }

    #[test]
    fn the_last_of_two_features_of_a_name_counts() {
        let record = [one_feature(3, &[0x08, 1]), one_feature(3, &[0x08, 2])].concat();
        assert_eq!(Example::parse(&record).expect("well formed").get("a").and_then(|f| f.as_i64()), Some(2));
    }

    #[test]
    fn a_list_larger_than_the_first_is_read_whole() {
        let record = one_feature(1, &[0x0a, 1, b'x', 0x0a, 0, 0x0a, 2, b'y', b'z']);
        let example = Example::parse(&record).expect("well formed");
        let Some(Feature::Bytes(list)) = example.get("a") else { panic!("{example:?}") };
        assert_eq!(list.iter().collect::<Vec<_>>(), [&b"x"[..], b"", b"yz"]);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            walk(&bytes);
        }

        /// Random bytes rarely get past the first tag; a damaged record does.
        #[test]
        fn damaged_records_never_panic(at in 0usize..80, byte: u8, cut in 0usize..80) {
            let mut record = ExampleBuilder::new()
                .bytes("image", &[7; 20]).int64("Mass", -1).float("age", 0.5).encode();
            let end = record.len();
            record[at % end] = byte;
            walk(&record[..end - cut.min(end)]);
        }

        #[test]
        fn what_is_built_is_read(image: Vec<u8>, number: i64, float: f32, name in "\\PC{0,12}") {
            let names = [format!("b{name}"), format!("i{name}"), format!("f{name}")];
            let record = ExampleBuilder::new()
                .float(&names[2], float).bytes(&names[0], &image).int64(&names[1], number).encode();
            let example = Example::parse(&record).expect("just built");
            prop_assert_eq!(example.get(&names[0]).and_then(|f| f.as_bytes()), Some(&image[..]));
            prop_assert_eq!(example.get(&names[1]).and_then(|f| f.as_i64()), Some(number));
            let Some(Feature::Float(floats)) = example.get(&names[2]) else { panic!("{example:?}") };
            prop_assert_eq!(floats.first().map(f32::to_bits), Some(float.to_bits()));
            prop_assert_eq!(example.names().count(), 3);
        }
    }

    /// Parses and looks at every value.
    fn walk(bytes: &[u8]) {
        let Ok(example) = Example::parse(bytes) else { return };
        for name in example.names() {
            match example.get(name) {
                Some(Feature::Bytes(list)) => assert!(list.iter().all(|b| b.len() <= bytes.len())),
                Some(Feature::Int64(list)) => assert!(list.iter().count() <= bytes.len()),
                Some(Feature::Float(list)) => assert!(list.iter().count() <= bytes.len()),
                Some(Feature::Empty) => {}
                None => panic!("{name:?} is listed but absent"),
            }
        }
    }
}
