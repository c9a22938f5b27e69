//! The line of the log that stands for a request.

use crate::client::Client;
use crate::log::event;
use crate::request_id::RequestId;
use serde_json::json;
use std::time::Duration;

/// What is logged of a request. Nothing of its images is, nor what was found in them.
pub(crate) struct RequestLine<'a> {
    pub(crate) id: &'a RequestId,
    pub(crate) client: Client,
    /// The name of the key that was sent.
    pub(crate) key: Option<&'a str>,
    pub(crate) method: &'a str,
    pub(crate) route: &'a str,
    pub(crate) status: u16,
    pub(crate) took: Duration,
}

impl RequestLine<'_> {
    pub(crate) fn write(&self) {
        event(
            "request",
            json!({
                "id": self.id.as_str(),
                "client": self.client.to_string(),
                "key": self.key,
                "method": self.method,
                "route": self.route,
                "status": self.status,
                "milliseconds": (self.took.as_secs_f64() * 1e4).round() / 10.0,
            }),
        );
    }
}
