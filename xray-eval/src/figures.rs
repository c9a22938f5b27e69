//! Figures as evaluations show them: three decimals.

/// `0.812`, with a dash for what is not defined.
pub(crate) fn number(value: Option<f64>) -> String {
    xray_display::number(value, 3)
}

/// `0.812 (0.790–0.833)`, with a dash for what is not defined.
pub(crate) fn with_interval(value: Option<f64>, interval: Option<[f64; 2]>) -> String {
    xray_display::with_interval(value, interval, 3, "–")
}
