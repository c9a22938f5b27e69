//! What stands below a program's options in its help: examples, exit codes, and sentences between them.

/// A part with a heading of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section<'a> {
    pub(crate) heading: &'a str,
    pub(crate) blocks: Vec<Block>,
}

/// Lines that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// A paragraph, broken anywhere.
    Text(String),
    /// Lines as they are.
    Lines(String),
}

pub(crate) const EXIT_CODES: &str = "Exit codes";
const HEADINGS: [&str; 3] = ["Example", "Examples", EXIT_CODES];

/// Takes the text apart.
pub(crate) fn sections(text: &str) -> Vec<Section<'_>> {
    let mut sections = Vec::new();
    let mut blank = false;
    for line in text.lines() {
        let headed = line.split_once(':').filter(|(heading, _)| HEADINGS.contains(heading));
        let line = headed.map_or(line, |(heading, rest)| {
            sections.push(Section { heading, blocks: Vec::new() });
            rest.trim_start()
        });
        if !line.is_empty() {
            if sections.is_empty() {
                sections.push(Section { heading: "Notes", blocks: Vec::new() });
            }
            let section = sections.last_mut().expect("there is one");
            section.add(line, blank);
        }
        blank = line.is_empty();
    }
    sections
}

impl Section<'_> {
    /// Adds a line to the block before it, or begins another.
    fn add(&mut self, line: &str, after_blank: bool) {
        match (self.blocks.last_mut(), line.strip_prefix("  ")) {
            (Some(Block::Lines(lines)), Some(line)) => {
                *lines += if after_blank { "\n\n" } else { "\n" };
                *lines += line;
            }
            (Some(Block::Text(text)), None) if !after_blank => {
                text.push(' ');
                *text += line;
            }
            (_, Some(line)) => self.blocks.push(Block::Lines(line.to_owned())),
            (_, None) => self.blocks.push(Block::Text(line.to_owned())),
        }
    }

    /// Every code with its meaning, of a section on exit codes: `0 ok · 1 unexpected`, or one a line.
    pub(crate) fn codes(&self) -> Vec<(&str, &str)> {
        let items = self.blocks.iter().flat_map(|block| match block {
            Block::Text(text) => text.split(" · ").collect::<Vec<_>>(),
            Block::Lines(lines) => lines.lines().collect(),
        });
        items.filter_map(|item| item.split_once(' ')).map(|(code, meaning)| (code, meaning.trim())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_sentences_and_exit_codes_are_told_apart() {
        let text = "Examples:\n  # one\n  xray-some \\\n      --more\n\n  xray-some: two\n\nA sentence: of\ntwo lines.\n\n\
                    Exit codes: 0 ok · 2 usage or\nthe like · 130/143 stopped";
        let found = sections(text);
        let blocks = [
            Block::Lines("# one\nxray-some \\\n    --more\n\nxray-some: two".into()),
            Block::Text("A sentence: of two lines.".into()),
        ];
        assert_eq!(found[0], Section { heading: "Examples", blocks: blocks.into() });
        assert_eq!((found.len(), found[1].heading), (2, EXIT_CODES));
        assert_eq!(found[1].codes(), [("0", "ok"), ("2", "usage or the like"), ("130/143", "stopped")]);
    }

    #[test]
    fn exit_codes_may_stand_one_a_line() {
        let found = sections("Exit codes:\n  0  done; good\n  1  other");
        assert_eq!(found[0].codes(), [("0", "done; good"), ("1", "other")]);
        assert_eq!(sections(""), []);
        assert_eq!(sections("A sentence.")[0].heading, "Notes");
    }
}
