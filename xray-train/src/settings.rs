//! How settings are merged: flags override `--set`, which overrides a file, which overrides the defaults. Each of
//! them is a table of the same shape; a key that the shape does not have is an error that names the one that was probably
//! meant.

use crate::config::RunConfig;
use crate::{reference, synonyms};
use std::path::Path;
use toml::{Table, Value};
use xray_artifacts::{Exit, Failure, nearest, read_text};
use xray_model::Loss;

/// Name of the file that is looked for from the current folder upwards when no `--config` is given.
pub const FILE_NAME: &str = "xray.toml";

/// The defaults, overridden by a file. Flags and `--set` come on top.
pub struct Settings(Table);

impl Settings {
    /// Reads `file`, if there is one.
    pub fn read(file: Option<&Path>) -> Result<Settings, Failure> {
        let mut table = Table::try_from(RunConfig::default()).expect("the defaults are plain values");
        if let Some(path) = file {
            merge(&mut table, read(path)?, "").map_err(|failure| prefixed(path, failure))?;
        }
        Ok(Settings(table))
    }

    /// Overrides them by each `key = value` in order, and checks the resulting configuration.
    pub fn resolve(&self, overrides: &[(String, Value)]) -> Result<RunConfig, Failure> {
        let mut table = self.0.clone();
        for (key, value) in overrides {
            merge(&mut table, nested(key, value.clone()), "")?;
        }
        reference::check(&table)?;
        let config: RunConfig = table.try_into().map_err(|error: toml::de::Error| {
            Failure::new(Exit::Usage, format!("configuration: {}", error.message().trim()))
        })?;
        let config = RunConfig { model: config.model.resolved(), ..config };
        config.check()?;
        Ok(config)
    }
}

/// A setting given as `key=value`; the value is TOML, or a bare word.
pub fn parse_setting(text: &str) -> Result<(String, Value), String> {
    let (key, value) =
        text.split_once('=').ok_or_else(|| format!("`{text}` is not of the form key=value"))?;
    let (key, value) = (key.trim(), value.trim());
    let parsed = format!("value = {value}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    Ok((key.to_owned(), parsed.unwrap_or_else(|| Value::String(value.to_owned()))))
}

/// The nearest [`FILE_NAME`] in `folder` or above.
pub fn nearest_file(folder: &Path) -> Option<std::path::PathBuf> {
    folder.ancestors().map(|folder| folder.join(FILE_NAME)).find(|path| path.is_file())
}

fn read(path: &Path) -> Result<Table, Failure> {
    let text = read_text(path)?;
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        Failure::new(Exit::Usage, format!("{}: line {line}: {}", path.display(), error.message().trim()))
    })?;
    // The `config.toml` of a run directory carries a number; a file that a person wrote need not.
    match table.remove("format") {
        None | Some(Value::Integer(FORMAT)) => Ok(table),
        Some(format) => Err(Failure::new(
            Exit::Usage,
            format!("{} has configuration format {format}, this build knows {FORMAT}", path.display()),
        )),
    }
}

/// The format of `config.toml`.
pub const FORMAT: i64 = 1;

fn prefixed(path: &Path, failure: Failure) -> Failure {
    Failure { message: format!("{}: {}", path.display(), failure.message), ..failure }
}

/// `a.b = v` as a table in a table.
fn nested(key: &str, value: Value) -> Table {
    let (first, rest) = key.split_once('.').unwrap_or((key, ""));
    let value = if rest.is_empty() { value } else { Value::Table(nested(rest, value)) };
    Table::from_iter([(first.to_owned(), value)])
}

/// Replaces values of `table` by those of `new`.
fn merge(table: &mut Table, new: Table, place: &str) -> Result<(), Failure> {
    for (key, value) in new {
        let path = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
        if path == "loss.name" {
            *table = fresh_loss(&value)?;
            continue;
        }
        let Some(old) = table.get_mut(&key) else { return Err(unknown_key(&path, place, table)) };
        match (old, value) {
            (Value::Table(old), Value::Table(new)) if path == "loss" => merge_loss(old, new)?,
            (Value::Table(old), Value::Table(new)) => merge(old, new, &path)?,
            (Value::Table(_), _) => {
                return Err(Failure::new(
                    Exit::Usage,
                    format!("`{path}` is a group of settings, not a value"),
                )
                .hint(first_key(&path)));
            }
            // `1` where a decimal number is meant.
            (old @ Value::Float(_), Value::Integer(new)) => *old = Value::Float(new as f64),
            (old, new) => *old = new,
        }
    }
    Ok(())
}

/// A loss's name decides which other keys there are, so it comes first.
fn merge_loss(old: &mut Table, mut new: Table) -> Result<(), Failure> {
    if let Some(name) = new.remove("name") {
        *old = fresh_loss(&name)?;
    }
    merge(old, new, "loss")
}

fn fresh_loss(name: &Value) -> Result<Table, Failure> {
    reference::find("loss.name").expect("a setting").values.check("loss.name", name)?;
    let loss = name.as_str().and_then(Loss::from_name).expect("a name that was checked");
    Ok(Table::try_from(loss).expect("a loss is plain values"))
}

fn first_key(group: &str) -> String {
    let in_group = |key: &str| key.strip_prefix(group).is_some_and(|rest| rest.starts_with('.'));
    let first = reference::all().iter().find(|setting| in_group(setting.key));
    format!("set one of its keys, such as {}", first.map_or("KEY", |setting| setting.key))
}

fn unknown_key(path: &str, place: &str, table: &Table) -> Failure {
    let mut known = Vec::new();
    let defaults = Table::try_from(RunConfig::default()).expect("the defaults are plain values");
    collect_keys(&defaults, "", &mut known);
    collect_keys(table, place, &mut known);
    let failure = Failure::new(Exit::Usage, format!("unknown key `{path}`"));
    if let Some(loss) = reference::loss_of(path) {
        return failure.hint(format!("it belongs to another loss: set loss.name={loss} first"));
    }
    if let Some(hint) = synonyms::of_key(path) {
        return failure.hint(hint);
    }
    match nearest(path, known.iter().map(String::as_str)) {
        Some(nearest) => failure.hint(format!("did you mean `{nearest}`?")),
        None => failure,
    }
}

fn collect_keys(table: &Table, place: &str, known: &mut Vec<String>) {
    for (key, value) in table {
        let path = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
        match value {
            Value::Table(inner) => collect_keys(inner, &path, known),
            _ => known.push(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(file: Option<&Path>, overrides: &[(String, Value)]) -> Result<RunConfig, Failure> {
        Settings::read(file)?.resolve(overrides)
    }

    fn overrides(texts: &[&str]) -> Vec<(String, Value)> {
        texts.iter().map(|text| parse_setting(text).expect(text)).collect()
    }

    fn check_refused(texts: &[&str], message: &str, hint: Option<&str>) {
        let failure = resolve(None, &overrides(texts)).expect_err("refused");
        assert_eq!(
            (failure.message.as_str(), failure.hint.as_deref(), failure.exit),
            (message, hint, Exit::Usage)
        );
    }

    #[test]
    fn later_settings_win_and_values_keep_their_types() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join(FILE_NAME);
        std::fs::write(&file, "seed = 3\n[data]\nfraction = 0.5\n[loss]\ngamma = 3\nname = \"focal\"\n")
            .expect("writable");
        let config =
            resolve(Some(&file), &overrides(&["data.fraction=1", "model.width=16"])).expect("good settings");
        assert_eq!((config.seed, config.data.fraction, config.model.width), (3, 1.0, 16));
        assert_eq!(config.loss, Loss::Focal { gamma: 3.0, alpha: 0.25 });
        assert_eq!(nearest_file(&dir.path().join("a/b")), Some(file));
    }

    #[test]
    fn unknown_keys_name_the_nearest() {
        check_refused(
            &["data.fracton=0.5"],
            "unknown key `data.fracton`",
            Some("did you mean `data.fraction`?"),
        );
        check_refused(
            &["learning_rate=1"],
            "unknown key `learning_rate`",
            Some("did you mean `schedule.learning_rate`?"),
        );
        check_refused(
            &["loss.gamma=1"],
            "unknown key `loss.gamma`",
            Some("it belongs to another loss: set loss.name=focal first"),
        );
        check_refused(
            &["data=1"],
            "`data` is a group of settings, not a value",
            Some("set one of its keys, such as data.dir"),
        );
    }

    #[test]
    fn keys_and_names_of_others_are_understood_by_meaning() {
        check_refused(
            &["pos_weight=3"],
            "unknown key `pos_weight`",
            Some(
                "weights of positives come with the loss: loss.name=weighted-bce, bounded by `loss.max_weight`",
            ),
        );
        check_refused(
            &["model.architecture=densenet"],
            "model.architecture is `densenet`, expected one of `small-cnn`, `resnet-18`, `resnet-50`, \
             `densenet-121`, `mobilenet-v2`, `efficientnet-b0`",
            Some("the DenseNet here is `densenet-121`, CheXNet's"),
        );
        check_refused(
            &["schedule.shape=cosin"],
            "schedule.shape is `cosin`, expected one of `constant`, `cosine`, `plateau`",
            Some("did you mean `cosine`?"),
        );
        check_refused(
            &["data.fraction=half"],
            "data.fraction is `half`, it must be a number (above 0 and at most 1)",
            None,
        );
    }

    #[test]
    fn a_length_without_a_unit_says_what_to_write() {
        for text in ["1", "\"1\""] {
            check_refused(
                &[&format!("training.duration={text}")],
                "training.duration: `1` has no unit",
                Some("write \"1 epochs\"; the units are epochs, steps and examples"),
            );
        }
        check_refused(
            &["training.duration=0 epochs"],
            "training.duration: `0 epochs` is not allowed",
            Some("use at least 1"),
        );
    }

    #[test]
    fn impossible_values_name_their_key() {
        check_refused(&["data.fraction=0"], "data.fraction is 0, it must be above 0 and at most 1", None);
        check_refused(&["data.fraction=1.5"], "data.fraction is 1.5, it must be above 0 and at most 1", None);
        check_refused(&["data.fraction=nan"], "data.fraction is NaN, it must be above 0 and at most 1", None);
        check_refused(
            &["data.fold=0"],
            "data.fold is 0, and data.folds is not set",
            Some("set both: data.folds=5"),
        );
        check_refused(
            &["data.folds=5"],
            "data.folds is 5, and data.fold is not set",
            Some("a run for each fold: data.fold=0 to 4"),
        );
        check_refused(&["data.folds=5", "data.fold=-2"], "data.fold is -2, it must be at least -1", None);
        for fold in [5, 6] {
            check_refused(
                &["data.folds=5", &format!("data.fold={fold}")],
                &format!("data.fold is {fold}, and data.folds is 5"),
                Some("folds are numbered 0 to 4"),
            );
        }
        for fold in [0, 1, -1] {
            check_refused(
                &["data.folds=1", &format!("data.fold={fold}")],
                "data.folds is 1, it must be 2 or more, or 0 for none",
                Some("such as 5"),
            );
        }
        check_refused(&["training.batch_size=0"], "training.batch_size is 0, it must be 1 to 65536", None);
        check_refused(&["preprocessing.size=8"], "preprocessing.size is 8, it must be 16 to 4096", None);
        check_refused(
            &["training.max_time=soon"],
            "training.max_time is `soon`, it must be a time",
            Some("such as 90s, 10m or 1h 30m"),
        );
        check_refused(
            &["loss.name=mse"],
            "loss.name is `mse`, expected one of `bce`, `weighted-bce`, `focal`, `asymmetric`",
            None,
        );
    }

    #[test]
    fn a_resolved_configuration_is_a_configuration_file() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("config.toml");
        let config = resolve(None, &overrides(&["seed=3", "loss.name=focal"])).expect("good settings");
        let text = toml::to_string(&config).expect("plain values");
        std::fs::write(&file, format!("format = 1\n{text}")).expect("writable");
        assert_eq!(resolve(Some(&file), &[]).expect("just written"), config);
        std::fs::write(&file, format!("format = 2\n{text}")).expect("writable");
        let failure = resolve(Some(&file), &[]).expect_err("unknown");
        assert!(failure.message.ends_with("has configuration format 2, this build knows 1"), "{failure}");
    }

    #[test]
    fn a_precision_is_one_that_some_device_of_the_backend_may_have() {
        let hint = Some("precisions below f32 need a GPU: --backend wgpu, or leave --precision out");
        for backend in ["cpu", "flex", "wgpu-burn", "cuda", "ndarray"] {
            let text = format!("precision is bf16, and backend `{backend}` computes in f32 only");
            check_refused(&["precision=bf16", &format!("backend={backend}")], &text, hint);
            resolve(None, &overrides(&["precision=f32", &format!("backend={backend}")])).expect("f32");
        }
        for backend in ["wgpu", "auto"] {
            for name in ["f32", "tf32", "bf16", "f16"] {
                let settings = [format!("precision={name}"), format!("backend={backend}")];
                let config = resolve(None, &overrides(&settings.each_ref().map(String::as_str)));
                assert_eq!(config.expect("good settings").precision.name(), name);
            }
        }
        let failure = resolve(None, &overrides(&["precision=fp16"])).expect_err("no such name");
        assert!(failure.message.contains("expected one of `f32`, `tf32`, `bf16`, `f16`"), "{failure}");
    }

    #[test]
    fn a_broken_file_names_its_line() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("recipe.toml");
        std::fs::write(&file, "seed = 3\nthreads = = 2\n").expect("writable");
        let failure = resolve(Some(&file), &[]).expect_err("refused");
        assert!(failure.message.contains("recipe.toml: line 2: "), "{failure}");
    }
}
