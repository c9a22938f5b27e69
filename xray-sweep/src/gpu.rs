//! Which cells run on a GPU.

use crate::spec::{Condor, Spec};
use serde_json::Value as Json;
use xray_artifacts::{Exit, Failure};

/// The configuration key that says which device a run computes on.
const KEY: &str = "backend";

/// The key that says what a GPU rounds factors to, and the value that every device has.
const PRECISION: &str = "precision";
const EXACT: &str = "f32";

/// What it is where a sweep asks for GPUs and says nothing of the key.
const BACKEND: &str = "wgpu";

/// The setting that asking for GPUs makes, below all that the sweep says itself.
pub(crate) fn setting(condor: &Condor) -> Option<(String, Json)> {
    condor.gpus.filter(|&gpus| gpus > 0).map(|_| (KEY.to_owned(), BACKEND.into()))
}

/// Whether the settings that all cells share put them on a GPU, so that its program is the one to ask what they come to.
pub(crate) fn is_for_all(spec: &Spec) -> bool {
    let of_all = spec.settings().into_iter().find(|(key, _)| key == KEY);
    let asked = of_all.map(|(_, value)| value.as_str().is_some_and(takes_one));
    !spec.axes.contains_key(KEY) && asked.unwrap_or_else(|| setting(&spec.condor).is_some())
}

/// Refuses settings of a cell, by key, that put a precision which only GPUs have on a processor. The trainer would refuse
/// them too, and knows no `--gpus`.
///
/// # Errors
/// If they do.
pub(crate) fn check_precision(settings: &serde_json::Map<String, Json>) -> Result<(), Failure> {
    let text = |key, default| settings.get(key).map_or(Some(default), Json::as_str);
    // What is not text is not a name: the trainer says which there are.
    let (Some(precision), Some(backend)) = (text(PRECISION, EXACT), text(KEY, "cpu")) else { return Ok(()) };
    if precision == EXACT || takes_one(backend) { Ok(()) } else { Err(no_precision(precision, backend)) }
}

fn no_precision(precision: &str, backend: &str) -> Failure {
    let message = format!(
        "{PRECISION} is {precision}, which needs a GPU, and cells run on the CPU (backend `{backend}`)"
    );
    Failure::new(Exit::Usage, message).hint(format!("--gpus 1, or leave {PRECISION} out"))
}

/// How many GPUs a run of `config` asks for: one or none. `auto` on a machine without any is the processor, so it asks
/// for one unless none is wanted.
///
/// # Errors
/// When more are wanted than a run uses, or none where it needs one.
pub(crate) fn of_cell(condor: &Condor, config: &Json) -> Result<u32, Failure> {
    let backend = backend(config);
    match condor.gpus {
        Some(many @ 2..) => Err(Failure::new(Exit::Usage, format!("gpus is {many}, but a run uses one GPU"))
            .hint("--gpus 1; several runs use several GPUs")),
        Some(0) if needs_one(backend) => {
            Err(Failure::new(Exit::Usage, format!("gpus is 0, but backend `{backend}` needs one"))
                .hint("--gpus 1, or --set backend=cpu"))
        }
        Some(0) => match config.get(PRECISION).and_then(Json::as_str) {
            Some(precision) if precision != EXACT => Err(no_precision(precision, backend)),
            _ => Ok(0),
        },
        _ => Ok(u32::from(takes_one(backend))),
    }
}

/// Refuses GPUs that no cell would use: cells ask for so many `gpus`, and the first runs with `backend`.
pub(crate) fn check_use(
    condor: &Condor,
    mut gpus: impl Iterator<Item = u32>,
    backend: &str,
) -> Result<(), Failure> {
    if setting(condor).is_none() || gpus.any(|gpus| gpus > 0) {
        return Ok(());
    }
    let message = format!("gpus is 1, but no cell uses one: they run with backend `{backend}`");
    Err(Failure::new(Exit::Usage, message).hint("leave out --set backend, or --gpus"))
}

/// The backend of a configuration.
pub(crate) fn backend(config: &Json) -> &str {
    config.get(KEY).and_then(Json::as_str).unwrap_or_default()
}

fn needs_one(backend: &str) -> bool {
    backend.starts_with(BACKEND) || backend == "cuda"
}

fn takes_one(backend: &str) -> bool {
    needs_one(backend) || backend == "auto"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axis::parse_axis;
    use crate::spec::parse_setting;
    use serde_json::json;

    fn asking(gpus: Option<u32>) -> Condor {
        Condor { gpus, ..Condor::default() }
    }

    #[test]
    fn a_cell_asks_for_the_gpu_that_it_uses() {
        let check = |gpus, backend, expected: Result<u32, &str>| {
            let found = of_cell(&asking(gpus), &json!({ "backend": backend }));
            let found = found.map_err(|failure| failure.message);
            assert_eq!(found, expected.map_err(str::to_owned), "{gpus:?} {backend}");
        };
        for (backend, gpus) in
            [("cpu", 0), ("flex", 0), ("wgpu", 1), ("wgpu-burn", 1), ("cuda", 1), ("auto", 1)]
        {
            check(None, backend, Ok(gpus));
            check(Some(1), backend, Ok(gpus));
            check(Some(2), backend, Err("gpus is 2, but a run uses one GPU"));
        }
        for backend in ["cpu", "flex", "auto"] {
            check(Some(0), backend, Ok(0));
        }
        check(Some(0), "wgpu", Err("gpus is 0, but backend `wgpu` needs one"));
    }

    #[test]
    fn a_precision_of_gpus_needs_one() {
        let check = |settings: Json, is_good: bool| {
            let settings = settings.as_object().expect("an object");
            assert_eq!(check_precision(settings).is_ok(), is_good, "{settings:?}");
        };
        check(json!({}), true);
        check(json!({ "precision": "f32" }), true);
        check(json!({ "precision": "f16" }), false);
        check(json!({ "precision": "bf16", "backend": "flex" }), false);
        check(json!({ "precision": "f16", "backend": "wgpu" }), true);
        check(json!({ "precision": "tf32", "backend": "auto" }), true);
        check(json!({ "precision": 16 }), true);
        let of_auto = |precision: &str, gpus| {
            of_cell(&asking(gpus), &json!({ "backend": "auto", "precision": precision })).ok()
        };
        assert_eq!(of_auto("f16", None), Some(1));
        assert_eq!(of_auto("f16", Some(0)), None);
        assert_eq!(of_auto("f32", Some(0)), Some(0));
    }

    #[test]
    fn gpus_that_nothing_uses_are_refused() {
        let check = |asked, of_cells: [u32; 2], is_good: bool| {
            let checked = check_use(&asking(asked), of_cells.into_iter(), "cpu");
            assert_eq!(checked.is_ok(), is_good, "{asked:?} {of_cells:?}");
        };
        check(Some(1), [0, 0], false);
        check(Some(1), [0, 1], true);
        check(Some(0), [0, 0], true);
        check(None, [0, 0], true);
    }

    #[test]
    fn a_sweep_of_gpus_is_known_by_its_settings() {
        let spec = |gpus, set: Option<&str>, axis: Option<&str>| Spec {
            condor: asking(gpus),
            set: set.map(|set| parse_setting(set).expect("good")).into_iter().collect(),
            axes: axis.map(|axis| parse_axis(axis).expect("good")).into_iter().collect(),
            ..Spec::default()
        };
        let check = |spec: Spec, expected| assert_eq!(is_for_all(&spec), expected, "{spec:?}");
        check(spec(None, None, None), false);
        check(spec(Some(0), None, None), false);
        check(spec(Some(1), None, None), true);
        check(spec(None, Some("backend=wgpu"), None), true);
        check(spec(Some(1), Some("backend=cpu"), None), false);
        check(spec(Some(1), None, Some("backend=cpu,wgpu")), false);
    }
}
