//! What is counted, in the text format that Prometheus reads.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// A kind of request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Answered {
    /// The path as routes have it.
    pub route: String,
    /// The HTTP status.
    pub status: u16,
}

/// What a model is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Named {
    /// As [`crate::model::Model`] has it.
    pub name: String,
    /// Likewise.
    pub hash: String,
}

/// How a reload ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reloaded {
    /// `ok` or `failed`.
    pub outcome: &'static str,
}

/// Counters of a server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Answers.
    pub requests: Family<Answered, Counter>,
    /// From the first byte of a request's head to its answer.
    pub seconds: Histogram,
    /// Images that were looked at.
    pub images: Counter,
    /// Images with at least one warning.
    pub warned: Counter,
    /// Images that were not looked at, because whoever sent them had gone.
    pub abandoned: Counter,
    /// Open connections.
    pub connections: Gauge,
    /// Connections that were ended for others.
    pub made_way: Counter,
    /// Images that wait for a worker.
    pub waiting: Gauge,
    /// Lines that the log lost.
    pub log_lost: Gauge,
    /// 1 for the model that answers.
    pub model: Family<Named, Gauge>,
    /// Reloads.
    pub reloads: Family<Reloaded, Counter>,
    /// Bytes of the process in memory.
    pub resident: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("xray");
        let requests = Family::default();
        let seconds = Histogram::new(exponential_buckets(0.001, 2.0, 14));
        let (images, warned, abandoned) = (Counter::default(), Counter::default(), Counter::default());
        let (connections, waiting, log_lost) = (Gauge::default(), Gauge::default(), Gauge::default());
        let made_way = Counter::default();
        let (model, reloads, resident) = (Family::default(), Family::default(), Gauge::default());
        // A counter that is not there yet cannot be watched.
        for outcome in ["ok", "failed"] {
            drop(reloads.get_or_create(&Reloaded { outcome }));
        }
        registry.register("requests", "Answers by route and status", requests.clone());
        registry.register("request_seconds", "Seconds from a request to its answer", seconds.clone());
        registry.register("images", "Images that were looked at", images.clone());
        registry.register("images_warned", "Images with a warning", warned.clone());
        registry.register("images_abandoned", "Images whose client had gone", abandoned.clone());
        registry.register("connections", "Open connections", connections.clone());
        registry.register("connections_made_way", "Connections ended for others", made_way.clone());
        registry.register("log_lines_lost", "Log lines that nobody took in time", log_lost.clone());
        registry.register("images_waiting", "Images that wait for a worker", waiting.clone());
        registry.register("model_info", "The model that answers: its name and its hash", model.clone());
        registry.register("reloads", "Reloads of keys and model by outcome", reloads.clone());
        registry.register("resident_bytes", "Memory of the process", resident.clone());
        Metrics {
            registry,
            requests,
            seconds,
            images,
            warned,
            abandoned,
            connections,
            made_way,
            waiting,
            log_lost,
            model,
            reloads,
            resident,
        }
    }
}

impl Metrics {
    /// All of it as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
