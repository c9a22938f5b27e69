//! One model behind a web page and an API.
//!
//! [`service::router`] answers requests and knows no sockets: the server ([`server`]), AWS Lambda and the tests hand it
//! theirs. Whatever costs time on a processor (decoding, the network) happens on [`workers`], one per core, behind a
//! queue that turns requests away as soon as they could not be answered in time.

pub mod answer;
mod base64_body;
pub mod check;
mod check_health;
pub mod cli;
pub mod client;
mod connections;
mod door;
mod encoding;
pub mod environment;
pub mod examine;
mod form;
mod hangup;
mod heads;
pub mod inspect;
pub mod keys;
pub mod limits;
mod linger;
pub mod log;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod options;
pub mod origins;
mod page;
pub mod problem;
pub mod proxies;
mod queue;
mod rate;
mod request_id;
mod request_line;
mod room;
pub mod samples;
pub mod server;
pub mod service;
pub mod settings;
mod share;
pub mod signals;
mod stream;
mod upload;
pub mod workers;
