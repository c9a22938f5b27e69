//! The reference of settings: which there are, what each may be, and what it means. The same rows check the values that
//! people give (`check`), print `xray-train --help settings` and make `docs/settings.md`.

mod table;
mod text;
mod values;

use crate::config::RunConfig;
use toml::{Table, Value};
use xray_artifacts::Failure;
use xray_model::Loss;

pub use text::{markdown, plain};
pub use values::Values;

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its key, joined by dots.
    pub key: &'static str,
    /// What it may be.
    pub values: Values,
    /// What it means.
    pub meaning: &'static str,
}

/// Every setting, in the order of a configuration.
pub fn all() -> &'static [Setting] {
    table::SETTINGS
}

/// The setting of that key.
pub fn find(key: &str) -> Option<&'static Setting> {
    all().iter().find(|setting| setting.key == key)
}

/// The loss that a setting belongs to, where it is one of a single loss: `focal` for `loss.gamma`.
pub fn loss_of(key: &str) -> Option<&'static str> {
    let name = key.strip_prefix("loss.").filter(|name| *name != "name")?;
    Loss::NAMES.into_iter().find(|loss| keys_of(loss).contains_key(name))
}

/// What a setting is where nobody sets it.
pub fn default_of(key: &str) -> Option<Value> {
    let mut config = RunConfig::default();
    if let Some(loss) = loss_of(key).and_then(Loss::from_name) {
        config.loss = loss;
    }
    // By way of text, where 0.1 of single precision is 0.1.
    let text = toml::to_string(&config).expect("a configuration is plain values");
    let mut value = Value::Table(text.parse().expect("just written"));
    for part in key.split('.') {
        value = value.as_table_mut()?.remove(part)?;
    }
    Some(value)
}

/// The keys of a loss, its name among them.
fn keys_of(loss: &str) -> Table {
    let loss = Loss::from_name(loss).expect("a name of the list");
    Table::try_from(loss).expect("a loss is plain values")
}

/// Refuses the first value of a configuration that its setting does not take.
///
/// # Errors
/// Names the key, the value and what it must be.
pub(crate) fn check(table: &Table) -> Result<(), Failure> {
    each_value(table, "", &mut |key, value| match find(key) {
        Some(setting) => setting.values.check(key, value),
        None => Ok(()),
    })
}

fn each_value(
    table: &Table,
    place: &str,
    visit: &mut impl FnMut(&str, &Value) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for (key, value) in table {
        let key = format!("{place}{key}");
        match value {
            Value::Table(inner) => each_value(inner, &format!("{key}."), visit)?,
            value => visit(&key, value)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use std::collections::BTreeSet;
    use std::ops::Bound;

    fn resolve(key: &str, value: Value) -> Result<RunConfig, Failure> {
        // What a setting needs beside it.
        let mut settings = vec![(key.to_owned(), value)];
        if let Some(loss) = loss_of(key) {
            settings.insert(0, ("loss.name".to_owned(), loss.into()));
        }
        let beside = |key: &str, value: Value| (key.to_owned(), value);
        match key {
            "precision" => settings.push(beside("backend", "wgpu".into())),
            "fine_tuning.frozen" | "fine_tuning.optimizer" => {
                settings.push(beside("fine_tuning.weights", "weights.pth".into()));
            }
            _ => {}
        }
        Settings::read(None).expect("defaults").resolve(&settings)
    }

    fn check_taken(key: &str, value: impl Into<Value>) {
        let value = value.into();
        resolve(key, value.clone()).unwrap_or_else(|failure| panic!("{key}={value}: {failure}"));
    }

    fn check_refused(key: &str, value: impl Into<Value>) {
        let value = value.into();
        let failure = resolve(key, value.clone()).expect_err(&format!("{key}={value}"));
        assert!(failure.message.starts_with(key), "{failure}");
    }

    /// Every key that `--set` takes has a row, and no row names anything else.
    #[test]
    fn every_setting_has_a_row() {
        let mut keys = BTreeSet::new();
        for loss in Loss::NAMES.iter().filter_map(|name| Loss::from_name(name)) {
            let config = Table::try_from(RunConfig { loss, ..RunConfig::default() }).expect("plain values");
            each_value(&config, "", &mut |key, _| {
                keys.insert(key.to_owned());
                Ok(())
            })
            .expect("only listed");
        }
        let rows: BTreeSet<_> = all().iter().map(|setting| setting.key.to_owned()).collect();
        assert_eq!(rows.len(), all().len(), "a key appears twice");
        assert_eq!(rows.difference(&keys).collect::<Vec<_>>(), Vec::<&String>::new(), "no such settings");
        assert_eq!(
            keys.difference(&rows).collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "settings without a row"
        );
        for setting in all() {
            assert!(default_of(setting.key).is_some(), "{}", setting.key);
        }
    }

    /// What the reference says of ranges and names is what the trainer takes.
    #[test]
    fn ranges_and_names_are_those_that_are_checked() {
        for &Setting { key, values, .. } in all() {
            // Given in pairs, of which `RunConfig::check` looks after.
            if let ("data.folds" | "data.fold", Values::Whole(least, _)) = (key, values) {
                check_refused(key, least - 1);
                continue;
            }
            check_taken(key, default_of(key).expect("every setting has one"));
            match values {
                Values::Switch => {
                    check_taken(key, true);
                    check_refused(key, "perhaps");
                }
                Values::Whole(least, most) => {
                    check_taken(key, least);
                    check_refused(key, least - 1);
                    if most < i64::MAX {
                        check_taken(key, most);
                        check_refused(key, most + 1);
                    }
                    check_refused(key, "many");
                }
                Values::OneOf(numbers) => {
                    numbers.iter().for_each(|&number| check_taken(key, number));
                    let most = *numbers.iter().max().expect("not empty");
                    (0..=most + 1).filter(|n| !numbers.contains(n)).for_each(|n| check_refused(key, n));
                }
                Values::Number(from, to) => {
                    for (bound, beyond) in [(from, -1e-3), (to, 1e-3)] {
                        match bound {
                            Bound::Included(number) => {
                                check_taken(key, number);
                                check_refused(key, number + beyond);
                            }
                            Bound::Excluded(number) => {
                                check_refused(key, number);
                                check_taken(key, number - beyond);
                            }
                            Bound::Unbounded => {}
                        }
                    }
                    check_refused(key, f64::NAN);
                    check_refused(key, f64::INFINITY);
                }
                Values::Names(names) => {
                    for name in names {
                        check_taken(key, *name);
                    }
                    check_refused(key, "no-such-name");
                }
                Values::Network => {
                    check_taken(key, "resnet18");
                    check_refused(key, "no-such-network");
                }
                Values::Length | Values::LengthOrAlways => {
                    check_taken(key, "3 epochs");
                    check_refused(key, 3);
                    check_refused(key, "often");
                }
                Values::Time | Values::TimeOrNone => {
                    check_taken(key, "1h 30m");
                    check_refused(key, "soon");
                    check_refused(key, 90);
                }
                Values::File | Values::Folder | Values::Text => check_refused(key, 7),
            }
        }
    }

    #[test]
    fn a_setting_of_one_loss_says_which() {
        assert_eq!(loss_of("loss.gamma"), Some("focal"));
        assert_eq!(loss_of("loss.name"), None);
        assert_eq!(default_of("loss.margin"), Some(Value::Float(0.05)));
        assert_eq!(default_of("data.fractoin"), None);
    }
}
