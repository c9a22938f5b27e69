//! A command of one of the programs, as one would type it.

use std::path::Path;

/// Words, of which the first is a program. `LAB/` before a path stands for the folder of what all trials share, and
/// `FOLDER/` for that of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step(Vec<String>);

impl Step {
    /// Words are parted by spaces, but not between single quotes.
    pub(crate) fn new(line: &str) -> Step {
        let mut words = vec![String::new()];
        let mut quoted = false;
        for letter in line.chars() {
            match letter {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                other => words.last_mut().expect("there is a first").push(other),
            }
        }
        words.retain(|word| !word.is_empty());
        Step(words)
    }

    /// The same with more options, which replace those of the same name, or settings of the same key.
    pub(crate) fn and(&self, line: &str) -> Step {
        Step::new(line).0.chunk_by(|_, next| !next.starts_with("--")).fold(self.clone(), |step, option| {
            match option {
                [set, setting] if set == "--set" => step.with_setting(setting),
                option => step.with_option(option),
            }
        })
    }

    /// The same with settings of a training.
    pub(crate) fn with_settings<'a>(&self, settings: impl IntoIterator<Item = &'a (String, String)>) -> Step {
        settings
            .into_iter()
            .fold(self.clone(), |step, (key, value)| step.with_setting(&format!("{key}={value}")))
    }

    fn with_setting(mut self, setting: &str) -> Step {
        let key = setting.split_inclusive('=').next().unwrap_or_default();
        let there = (1..self.0.len()).find(|&at| self.0[at - 1] == "--set" && self.0[at].starts_with(key));
        match there {
            Some(at) => self.0[at] = setting.to_owned(),
            None => self.0.extend(["--set".to_owned(), setting.to_owned()]),
        }
        self
    }

    fn with_option(mut self, option: &[String]) -> Step {
        match self.0.iter().position(|word| *word == option[0]) {
            Some(at) => self.0.splice(at..at + option.len(), option.iter().cloned()).for_each(drop),
            None => self.0.extend_from_slice(option),
        }
        self
    }

    /// The same without a word.
    pub(crate) fn without(&self, word: &str) -> Step {
        Step(self.0.iter().filter(|other| *other != word).cloned().collect())
    }

    /// The name of the program.
    pub(crate) fn program(&self) -> &str {
        &self.0[0]
    }

    /// What follows it, in these folders.
    pub(crate) fn arguments(&self, lab: &Path, folder: &Path) -> Vec<String> {
        let place = |word: &String| {
            let in_folder = |name, folder: &Path| {
                Some(folder.join(word.strip_prefix(name)?).to_string_lossy().into_owned())
            };
            in_folder("FOLDER/", folder).or_else(|| in_folder("LAB/", lab)).unwrap_or_else(|| word.clone())
        };
        self.0[1..].iter().map(place).collect()
    }

    /// As one would type it there.
    pub(crate) fn line(&self, lab: &Path, folder: &Path) -> String {
        let quoted = |word: String| if word.contains([' ', '>']) { format!("'{word}'") } else { word };
        let words = self.arguments(lab, folder).into_iter().map(quoted);
        [self.0[0].clone()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_settings_replace_earlier_ones() {
        let step = Step::new("xray-train --data LAB/a --set a.b=1 -q")
            .and("--data LAB/b --resume --set 'a.b=3 steps'");
        assert_eq!(step, Step::new("xray-train --data LAB/b --set 'a.b=3 steps' -q --resume"));
        let settings = [("a.b".to_owned(), "2".to_owned()), ("c".to_owned(), "x".to_owned())];
        assert_eq!(Step::new("p --set a.b=1").with_settings(&settings), Step::new("p --set a.b=2 --set c=x"));
    }

    #[test]
    fn words_are_parted_and_folders_put_in() {
        let step = Step::new("xray-train --data LAB/shards --set 'a.b=3 steps'").and("--run FOLDER/run");
        assert_eq!(step.program(), "xray-train");
        let words = step.arguments(Path::new("/l"), Path::new("/f"));
        assert_eq!(words, ["--data", "/l/shards", "--set", "a.b=3 steps", "--run", "/f/run"]);
        let line = step.line(Path::new("/l"), Path::new("/f"));
        assert_eq!(line, "xray-train --data /l/shards --set 'a.b=3 steps' --run /f/run");
    }
}
