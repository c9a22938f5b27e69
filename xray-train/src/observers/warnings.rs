//! Warnings, remembered for the result.

use crate::events::{Event, Observer, Observers};
use xray_artifacts::FileError;

/// Passes events on, warnings once each.
pub struct Warnings<'a, 'b> {
    inner: &'a mut Observers<'b>,
    heard: Vec<String>,
}

impl<'a, 'b> Warnings<'a, 'b> {
    /// Passes events on to `inner`.
    pub fn new(inner: &'a mut Observers<'b>) -> Self {
        Warnings { inner, heard: Vec::new() }
    }

    /// Takes up what earlier starts of the run were told; it is not said again.
    pub fn remember(&mut self, told: &[String]) {
        let new = told.iter().filter(|text| !self.heard.contains(text)).cloned().collect::<Vec<_>>();
        self.heard.extend(new);
    }

    /// Every warning, in the order in which they came.
    pub fn into_heard(self) -> Vec<String> {
        self.heard
    }
}

impl Observer for Warnings<'_, '_> {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), FileError> {
        if let Event::Warning(text) = event {
            if self.heard.iter().any(|heard| heard == text) {
                return Ok(());
            }
            self.heard.push((*text).to_owned());
        }
        self.inner.observe(event)
    }
}
