//! The content of a JSON file: its values, whatever the white space and the order of keys. Text stays where it lies in the
//! file, and the file is read again as what it holds: for thousands of results that takes half the time of a
//! `serde_json::Value` that is turned into them.

use crate::seal::checksum;
use serde::de::value::MapAccessDeserializer;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess,
};
use serde::{Serialize, Serializer};
use serde_json::Number;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// The key of the hash, and that of the format's number, which are no content of their own.
pub(crate) const SEAL: &str = "blake3";
pub(crate) const FORMAT: &str = "format";

/// A value of a file.
#[derive(Debug)]
pub(crate) enum Content<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Content<'a>>),
    /// By key; of a key that stands there twice the last.
    Object(Vec<(Cow<'a, str>, Content<'a>)>),
}

impl<'a> Content<'a> {
    /// Takes a key out of an object.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Content<'a>> {
        let Content::Object(entries) = self else { return None };
        let at = entries.iter().position(|(found, _)| found == key)?;
        Some(entries.remove(at).1)
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Content<'a>> {
        let Content::Object(entries) = self else { return None };
        entries.iter().find(|(found, _)| found == key).map(|(_, value)| value)
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        if let Content::Text(text) = self { Some(text) } else { None }
    }

    pub(crate) fn as_u64(&self) -> Option<u64> {
        if let Content::Number(number) = self { number.as_u64() } else { None }
    }

    /// Its hash, which is that of its compact JSON.
    pub(crate) fn hash(&self) -> String {
        checksum(&serde_json::to_vec(self).expect("keys are text"))
    }
}

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Content::Null => serializer.serialize_unit(),
            Content::Bool(value) => serializer.serialize_bool(*value),
            Content::Number(number) => number.serialize(serializer),
            Content::Text(text) => serializer.serialize_str(text),
            Content::List(values) => serializer.collect_seq(values),
            Content::Object(entries) => {
                serializer.collect_map(entries.iter().map(|(key, value)| (key, value)))
            }
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor(PhantomData))
    }
}

struct Visitor<'a>(PhantomData<&'a ()>);

impl<'de: 'a, 'a> de::Visitor<'de> for Visitor<'a> {
    type Value = Content<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Content<'a>, E> {
        Ok(Content::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content<'a>, E> {
        Ok(Content::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content<'a>, E> {
        Ok(Content::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content<'a>, E> {
        Ok(Content::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content<'a>, E> {
        // JSON has no number that is not finite.
        Ok(Number::from_f64(value).map_or(Content::Null, Content::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Content<'a>, E> {
        Ok(Content::Text(text.to_owned().into()))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Content<'a>, E> {
        Ok(Content::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Content<'a>, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element()? {
            list.push(value);
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content<'a>, A::Error> {
        let mut entries: Vec<(Cow<'a, str>, Content<'a>)> = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            entries.push((key, map.next_value()?));
        }
        entries.reverse();
        // Stable: of equal keys the last of the file comes first.
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        entries.dedup_by(|(later, _), (kept, _)| later == kept);
        Ok(Content::Object(entries))
    }
}

/// A key that stays where it lies, if it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(Visitor(PhantomData))? {
            Content::Text(text) => Ok(Key(text)),
            _ => Err(de::Error::custom("a key is text")),
        }
    }
}

/// What a file holds, without hash and format number: a `T` may refuse keys that it does not know.
pub(crate) struct Held<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Held<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeldVisitor(PhantomData))
    }
}

struct HeldVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> de::Visitor<'de> for HeldVisitor<T> {
    type Value = Held<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Held<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(WithoutSeal(map))).map(Held)
    }
}

struct WithoutSeal<A>(A);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for WithoutSeal<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(Key(key)) = self.0.next_key()? {
            if key != SEAL && key != FORMAT {
                return seed.deserialize(key.into_deserializer()).map(Some);
            }
            self.0.next_value::<IgnoredAny>()?;
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// Both say the same of every JSON, and so does the hash.
    #[test]
    fn content_is_what_serde_json_makes_of_it() {
        for text in [
            "null",
            "[true, false, 1, -1, 0.1, 1e300, 18446744073709551615, -0.0, 0.50, 1E2]",
            r#"{"b": 1, "a": {"d": [], "c": {}}, "é\n\"": "x\u0041", "": null}"#,
            r#"{"a": 1, "b": 2, "a": 3}"#,
            "0.1234567890123456789",
        ] {
            let content: Content<'_> = serde_json::from_str(text).expect("JSON");
            let value: Value = serde_json::from_str(text).expect("JSON");
            let mut sorted = value.clone();
            sorted.sort_all_objects();
            assert_eq!(serde_json::to_string(&content).expect("JSON"), sorted.to_string());
            assert_eq!(content.hash(), checksum(sorted.to_string().as_bytes()));
        }
    }

    #[test]
    fn hash_and_format_are_not_what_a_file_holds() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Note {
            text: String,
        }
        let read = |text: &str| serde_json::from_str::<Held<Note>>(text).map(|held| held.0);
        let note = Note { text: "a".to_owned() };
        assert_eq!(read(r#"{"blake3": "f", "text": "a", "format": 3}"#).expect("a note"), note);
        assert_eq!(read(r#"{"text": "a"}"#).expect("a note"), note);
        assert!(read(r#"{"text": "a", "more": 1}"#).expect_err("unknown").to_string().contains("more"));
        assert!(read("[]").is_err());
    }
}
