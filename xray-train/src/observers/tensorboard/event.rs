//! The records of an event file: `tensorflow.Event` as protocol buffers, as far as it is needed here. The messages are
//! those of TensorBoard's `compat/proto/{event,summary}.proto` and `plugins/hparams/{plugin_data,api}.proto`.
//!
//! The time comes first and always takes as many bytes, and so does every number but the step, so that two starts of a run
//! write the same steps to the same places.

use toml::Value;
use xray_data::example::put_varint;

/// How a run ended, for TensorBoard's plug-in for hyper-parameters (`api.proto`).
#[derive(Clone, Copy, Debug)]
pub(super) enum Status {
    /// It has its result.
    Success = 1,
    /// It diverged.
    Failure = 2,
}

/// The first record of a file.
pub(super) fn version(time: f64) -> Vec<u8> {
    event(time, 0).bytes(3, b"brain.Event:2").0
}

/// Figures after a step, each under its tag.
pub(super) fn scalars(time: f64, step: u64, values: &[(String, f32)]) -> Vec<u8> {
    let value = |tag: &str, value| Message::default().bytes(1, tag.as_bytes()).float(2, value);
    let summary = values
        .iter()
        .fold(Message::default(), |summary, (tag, figure)| summary.bytes(1, &value(tag, *figure).0));
    event(time, step).bytes(5, &summary.0).0
}

/// The settings of a run.
pub(super) fn session_start(time: f64, settings: &[(String, Value)]) -> Vec<u8> {
    let session = settings.iter().fold(Message::default(), |session, (key, value)| {
        let value = match value {
            Value::Boolean(value) => Message::default().number(4, u64::from(*value)),
            Value::Integer(value) => Message::default().double(2, *value as f64),
            Value::Float(value) => Message::default().double(2, *value),
            Value::String(text) => Message::default().bytes(3, text.as_bytes()),
            other => Message::default().bytes(3, other.to_string().as_bytes()),
        };
        session.bytes(1, &Message::default().bytes(1, key.as_bytes()).bytes(2, &value.0).0)
    });
    of_settings(
        time,
        "_hparams_/session_start_info",
        &Message::default().bytes(3, &session.double(5, time).0),
    )
}

/// That a run ended.
pub(super) fn session_end(time: f64, status: Status) -> Vec<u8> {
    let session = Message::default().number(1, status as u64).double(2, time);
    of_settings(time, "_hparams_/session_end_info", &Message::default().bytes(4, &session.0))
}

/// What the plug-in reads lies in the metadata of a value that has none.
fn of_settings(time: f64, tag: &str, content: &Message) -> Vec<u8> {
    let plugin = Message::default().bytes(1, b"hparams").bytes(2, &content.0);
    let metadata = Message::default().bytes(1, &plugin.0);
    let value = Message::default().bytes(1, tag.as_bytes()).bytes(9, &metadata.0);
    event(time, 0).bytes(5, &Message::default().bytes(1, &value.0).0).0
}

/// Without its time, a record tells what happened: the same in every start of a run.
pub(super) fn timeless(event: &[u8]) -> &[u8] {
    event.get(TIME..).unwrap_or_default()
}

/// Tag and eight bytes.
const TIME: usize = 9;

fn event(time: f64, step: u64) -> Message {
    Message::default().double(1, time).number(2, step)
}

/// A message that is being written, field by field.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn key(&mut self, field: u64, wire_type: u64) {
        put_varint(&mut self.0, field << 3 | wire_type);
    }

    fn number(mut self, field: u64, number: u64) -> Self {
        self.key(field, 0);
        put_varint(&mut self.0, number);
        self
    }

    fn double(mut self, field: u64, number: f64) -> Self {
        self.key(field, 1);
        self.0.extend(number.to_le_bytes());
        self
    }

    /// Text, bytes or a message.
    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.key(field, 2);
        put_varint(&mut self.0, bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    fn float(mut self, field: u64, number: f32) -> Self {
        self.key(field, 5);
        self.0.extend(number.to_le_bytes());
        self
    }
}
