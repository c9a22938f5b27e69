//! Which of a file's networks is taken. A checkpoint may hold several of one architecture: a student and its teacher, a
//! query and a key encoder, weights and their moving average. Of a network and its copies, the one that gradients trained
//! is taken; between networks that are not copies, the user chooses.

use super::names::dense_layer;
use crate::{Error, HostTensor, Result, StateDict};
use std::collections::{BTreeMap, BTreeSet};

/// Words for a network that follows another one instead of being trained.
const COPIES: [&str; 15] = [
    "ema",
    "avg",
    "average",
    "averaged",
    "averaging",
    "moving",
    "swa",
    "polyak",
    "shadow",
    "momentum",
    "teacher",
    "target",
    "slow",
    "k",
    "key",
];

/// The network that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// What stands before its tensors' names, such as `state_dict.module.encoder_q.`
    pub(super) prefix: String,
    /// Whether most of the expected tensors are there.
    pub(super) is_whole: bool,
    /// What stands before the names of the others; none where there is nothing to choose.
    pub(super) others: Vec<String>,
}

/// Chooses the network named `asked`, or by the rule where it is empty. A network is known by its layers before `head`, the
/// last one, which may be another or missing.
///
/// # Errors
/// If there are several and the rule does not tell which, or none or several of that name.
pub(super) fn choose(found: &StateDict, expected: &StateDict, head: &str, asked: &str) -> Result<Choice> {
    let is_layer = |name: &str| !name.strip_prefix(head).is_some_and(|rest| rest.starts_with('.'));
    let layers = expected.tensors.keys().filter(|name| is_layer(name)).map(String::as_str).collect();
    let counts = counts(found, &layers);
    let most = counts.values().copied().max().unwrap_or(0);
    let is_whole = most > 0 && most * 2 >= layers.len();
    let of_share = |tenths: usize| -> Vec<&str> {
        let large = counts.iter().filter(|(_, count)| **count > 0 && **count * 10 >= most * tenths);
        large.map(|(prefix, _)| *prefix).collect()
    };
    let choice = |prefix: &str, others: &[&str]| {
        let others =
            others.iter().filter(|other| **other != prefix).map(|other| (*other).to_owned()).collect();
        Choice { prefix: prefix.to_owned(), is_whole, others }
    };
    if !asked.is_empty() {
        let parts = of_share(5);
        let prefix = named(&parts, asked)
            .ok_or_else(|| Error::NoPart { part: asked.to_owned(), parts: shown(&parts) })?;
        return Ok(choice(prefix, &[]));
    }
    // An optimizer's moments are as many as the parameters, but there are none of running statistics.
    let parts = different(found, expected, of_share(9));
    match (&parts[..], &originals(&parts)[..]) {
        ([], _) => Ok(choice("", &[])),
        ([one], _) => Ok(choice(one, &[])),
        (several, _) if !is_whole => Ok(choice(several[0], &[])),
        (several, [one]) => Ok(choice(one, several)),
        _ => Err(Error::Parts { parts: shown(&parts) }),
    }
}

/// The prefix under which most expected names are found: `module.` of a parallel wrapper, `state_dict.` or `network.` of a
/// checkpoint, `densenet121.` of a class that holds a network. Of equals the first.
pub(super) fn best(found: &StateDict, expected: &StateDict) -> String {
    let counts = counts(found, &expected.tensors.keys().map(String::as_str).collect());
    let best = counts.into_iter().rev().max_by_key(|(_, count)| *count);
    best.map(|(prefix, _)| prefix).unwrap_or_default().to_owned()
}

/// Parts of our longest names.
const MOST_DOTS: usize = 12;

/// For everything that stands before an expected name, how many expected names stand behind it.
fn counts<'a>(found: &'a StateDict, expected: &BTreeSet<&str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::from([("", 0)]);
    for name in found.tensors.keys() {
        let begins = name.rmatch_indices('.').take(MOST_DOTS).map(|(dot, _)| dot + 1).chain([0]);
        for begin in begins {
            if expected.contains(dense_layer(&name[begin..]).as_str()) {
                *counts.entry(&name[..begin]).or_default() += 1;
            }
        }
    }
    counts
}

/// Without networks that are another one to the last bit.
fn different<'a>(found: &StateDict, expected: &StateDict, parts: Vec<&'a str>) -> Vec<&'a str> {
    let tensors = |part: &str| -> BTreeMap<String, &HostTensor> {
        let below =
            found.tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(part)?, tensor)));
        let ours = below.map(|(name, tensor)| (dense_layer(name), tensor));
        ours.filter(|(name, _)| expected.tensors.contains_key(name)).collect()
    };
    let mut different: Vec<(&str, BTreeMap<String, &HostTensor>)> = Vec::new();
    for part in parts {
        let mine = tensors(part);
        let same = |theirs: &BTreeMap<String, &HostTensor>| {
            mine.len() == theirs.len()
                && mine.iter().zip(theirs).all(|(a, b)| a.0 == b.0 && a.1.same_bits(b.1))
        };
        if !different.iter().any(|(_, theirs)| same(theirs)) {
            different.push((part, mine));
        }
    }
    different.into_iter().map(|(part, _)| part).collect()
}

/// Those that no word calls a copy of another.
fn originals<'a>(parts: &[&'a str]) -> Vec<&'a str> {
    let words: Vec<BTreeSet<String>> = parts.iter().map(|part| words(part)).collect();
    let everywhere = |word: &String| words.iter().all(|words| words.contains(word));
    let is_copy = |words: &BTreeSet<String>| {
        words.iter().any(|word| COPIES.contains(&word.as_str()) && !everywhere(word))
    };
    parts.iter().zip(&words).filter(|(_, words)| !is_copy(words)).map(|(part, _)| *part).collect()
}

/// `model_ema.module.` is the words `model`, `ema` and `module`.
fn words(prefix: &str) -> BTreeSet<String> {
    let mut spaced = String::new();
    let mut before = ' ';
    for letter in prefix.chars() {
        if before.is_lowercase() && letter.is_uppercase() {
            spaced.push(' ');
        }
        spaced.push(letter);
        before = letter;
    }
    let words = spaced.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// The one part that is called so: by its whole prefix, or by some of its words in a row.
fn named<'a>(parts: &[&'a str], asked: &str) -> Option<&'a str> {
    let asked = asked.trim_matches('.');
    if let Some(whole) = parts.iter().find(|part| part.trim_end_matches('.') == asked) {
        return Some(whole);
    }
    let mut of_name = parts.iter().filter(|part| format!(".{part}").contains(&format!(".{asked}.")));
    of_name.next().filter(|_| of_name.next().is_none()).copied()
}

/// As a user writes them.
pub(super) fn shown(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|part| shown_part(part)).collect()
}

/// A prefix as a user writes it: `.` for that of the tensors at the top.
pub(super) fn shown_part(prefix: &str) -> String {
    match prefix.trim_end_matches('.') {
        "" => ".".to_owned(),
        part => part.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["bn1.running_mean", "conv1.weight", "fc.bias", "fc.weight"];

    fn network(prefixes: &[&str]) -> StateDict {
        let mut dict = StateDict::default();
        for (at, prefix) in prefixes.iter().enumerate() {
            for name in NAMES {
                let tensor = HostTensor { shape: vec![1], values: vec![at as f32] };
                dict.tensors.insert(format!("{prefix}{name}"), tensor);
            }
        }
        dict
    }

    fn chosen(prefixes: &[&str], asked: &str) -> Result<Choice> {
        choose(&network(prefixes), &network(&[""]), "fc", asked)
    }

    /// The first is taken, in whatever order they stand.
    #[track_caller]
    fn check(prefixes: &[&str]) {
        let choice = chosen(prefixes, "").expect("the rule tells");
        assert_eq!(choice.prefix, prefixes[0]);
        let mut others: Vec<&str> = choice.others.iter().map(String::as_str).collect();
        let mut expected = prefixes[1..].to_vec();
        others.sort_unstable();
        expected.sort_unstable();
        assert_eq!(others, expected, "{prefixes:?}");
    }

    #[test]
    fn of_a_network_and_its_copies_the_one_that_gradients_trained_is_taken() {
        check(&["state_dict.module.encoder_q.", "state_dict.module.encoder_k."]);
        check(&["query_encoder.", "key_encoder."]);
        check(&["module.base_encoder.", "module.momentum_encoder."]);
        check(&["model.", "ema_model."]);
        check(&["model.", "model_ema.module."]);
        check(&["state_dict.", "ema_state_dict."]);
        check(&["state_dict.", "state_dict_ema."]);
        check(&["state_dict.model.", "state_dict.ema.module."]);
        check(&["state_dict.model.", "state_dict.modelEMA."]);
        check(&["student.backbone.", "teacher.backbone."]);
        check(&["online_encoder.net.", "target_encoder.net."]);
        check(&["network.", "average."]);
        check(&["", "ema."]);
        check(&["model.", "swa_model.module.", "ema_model."]);
        check(&["teacher.model.", "teacher.ema."]);
    }

    #[test]
    fn between_networks_that_are_no_copies_the_user_chooses() {
        let refused =
            |prefixes: &[&str], asked: &str| chosen(prefixes, asked).expect_err("not clear").to_string();
        let message = refused(&["models.1.", "models.0."], "");
        assert_eq!(message, "the weights hold several networks: `models.0`, `models.1`");
        for two in
            [["net_a.", "net_b."], ["state_dict.", "best_state_dict."], ["ema.", "target."], ["", "second."]]
        {
            assert!(chosen(&two, "").is_err(), "{two:?}");
        }
        for asked in ["encoder_k", "encoder_k.", "module.encoder_k", "state_dict.module.encoder_k."] {
            let two = ["state_dict.module.encoder_q.", "state_dict.module.encoder_k."];
            assert_eq!(chosen(&two, asked).expect("there is one").prefix, two[1], "{asked}");
        }
        assert_eq!(chosen(&["", "ema."], ".").expect("the top").prefix, "");
        let message = refused(&["net_a.", "net_b."], "net");
        assert_eq!(message, "the weights hold no network `net`, but `net_a`, `net_b`");
        assert!(chosen(&["a.net.", "b.net."], "net").is_err(), "two of that name");
    }

    #[test]
    fn what_is_no_second_network_is_no_question() {
        let mut twice = network(&["model."]);
        twice.extend_prefixed("copy.", twice.with_prefix("model."));
        twice.extend_prefixed("optimizer.", network(&[""]));
        twice.tensors.remove("optimizer.bn1.running_mean");
        let choice = choose(&twice, &network(&[""]), "fc", "").expect("the same twice, and moments");
        assert_eq!((choice.prefix.as_str(), &choice.others[..]), ("copy.", &[][..]));
        let old = "features.denselayer1.norm.1.bias";
        let (mut expected, mut two) = (StateDict::default(), StateDict::default());
        let tensor = |value| HostTensor { shape: vec![1], values: vec![value] };
        expected.tensors.insert(dense_layer(old), tensor(0.0));
        two.tensors.insert(format!("a.{old}"), tensor(1.0));
        two.tensors.insert(format!("b.{old}"), tensor(2.0));
        assert!(choose(&two, &expected, "fc", "").is_err(), "two networks of old names");
        let few = choose(&network(&[]), &network(&[""]), "fc", "").expect("nothing to choose");
        assert_eq!((few.prefix.as_str(), few.is_whole), ("", false));
    }
}
