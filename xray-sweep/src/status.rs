//! stub
use crate::state::CellReport;
pub fn text(_: &[CellReport], _: usize, _: bool) -> String { String::new() }
pub fn json(_: &[CellReport]) -> serde_json::Value { serde_json::Value::Null }
pub fn is_busy(_: &[CellReport]) -> bool { false }
