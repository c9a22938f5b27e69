//! Text of people in submit files: quoted for HTCondor's own parser, or refused where no quoting would keep it as
//! it is. Nothing else of a plan writes such text.

use std::collections::BTreeMap;
use std::path::Path;
use xray_artifacts::{Exit, Failure};

/// A path that HTCondor reads again when a job is made or matched, where nothing can be quoted.
pub(super) fn folder<'a>(what: &str, path: &'a Path) -> Result<&'a str, Failure> {
    let Some(text) = path.to_str() else {
        return Err(refused(what, &path.display().to_string(), "is not UTF-8"));
    };
    if text.contains('\\') {
        return Err(refused(what, text, "holds a backslash, which HTCondor drops from some paths"));
    }
    kept_as_it_is(what, text)
}

/// A file in a list of files to send, which HTCondor cuts at commas.
pub(super) fn sent_file(path: &Path) -> Result<&str, Failure> {
    let what = "the path of a file to send";
    let text = folder(what, path)?;
    if text.contains(',') {
        return Err(refused(what, text, "holds a comma, at which HTCondor cuts its list of files")
            .hint("rename the folder, or plan with --shared-data where workers see it themselves"));
    }
    if text.ends_with(char::is_whitespace) {
        return Err(refused(what, text, "ends with a blank, which HTCondor cuts off"));
    }
    Ok(text)
}

/// A word of the value of `arguments`.
pub(super) fn argument(word: &str) -> Result<String, Failure> {
    Ok(quoted(kept_as_it_is("an argument of the jobs", word)?))
}

/// The value of `environment`: `NAME='value' OTHER='it''s'`.
pub(super) fn environment(variables: &BTreeMap<String, String>) -> Result<String, Failure> {
    let variable = |(name, value): (&String, &String)| {
        if !is_name(name) {
            return Err(refused("--env", name, "is not the name of an environment variable"));
        }
        let value = kept_as_it_is(&format!("the value of --env {name}"), value)?;
        Ok(format!("{name}={}", in_quotes(value)))
    };
    Ok(variables.iter().map(variable).collect::<Result<Vec<_>, _>>()?.join(" "))
}

/// The name of an attribute of the job, without the `+` or `MY.` that submit files put before it.
pub(super) fn attribute(name: &str) -> Result<&str, Failure> {
    let bare = name.strip_prefix('+').unwrap_or(name);
    let has_scope = bare.get(..3).is_some_and(|scope| scope.eq_ignore_ascii_case("my."));
    let bare = if has_scope { &bare[3..] } else { bare };
    if is_name(bare) && !RESERVED.iter().any(|word| word.eq_ignore_ascii_case(bare)) {
        return Ok(bare);
    }
    Err(refused("--attribute", name, "is not the name of an attribute")
        .hint("a letter, then letters, digits and underscores: --attribute 'ProjectName=\"radiology\"'"))
}

/// Words of the language of expressions.
const RESERVED: [&str; 7] = ["true", "false", "undefined", "error", "is", "isnt", "parent"];

/// An expression of somebody, whose brackets and quotes must not reach into the lines around it. What else is wrong with
/// it HTCondor says itself, where it is installed.
pub(super) fn expression<'a>(what: &str, text: &'a str) -> Result<&'a str, Failure> {
    let text = kept_as_it_is(what, text.trim())?;
    if text.is_empty() {
        return Err(refused(what, text, "is not an expression"));
    }
    let mut open = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' | '\'' if !skip_quoted(&mut letters, letter) => {
                return Err(refused(what, text, "has a quote that is not closed"));
            }
            '"' | '\'' => {}
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' if open.pop() != Some(letter) => {
                return Err(refused(what, text, &format!("has one {letter} too many")));
            }
            '/' if letters.peek().is_some_and(|next| "/*".contains(*next)) => {
                return Err(refused(what, text, "holds a comment"));
            }
            '\\' | '#' | ';' | '`' | '@' => {
                return Err(refused(what, text, &format!("has a {letter} outside of quotes")));
            }
            _ if !letter.is_ascii() => {
                return Err(refused(what, text, &format!("has a {letter} outside of quotes")));
            }
            _ => {}
        }
    }
    match open.pop() {
        Some(missing) => Err(refused(what, text, &format!("lacks a {missing}"))),
        None => Ok(text),
    }
}

/// Goes past the closing quote, if there is one.
fn skip_quoted(letters: &mut impl Iterator<Item = char>, quote: char) -> bool {
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => drop(letters.next()),
            _ if letter == quote => return true,
            _ => {}
        }
    }
    false
}

fn is_name(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// HTCondor's new syntax of arguments, in which the whole stands in double quotes.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./+=:@%,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) { word.to_owned() } else { in_quotes(word) }
}

fn in_quotes(word: &str) -> String {
    format!("'{}'", word.replace('\'', "''").replace('"', "\"\""))
}

/// Refuses what no quoting keeps: `$(name)` and its kin are replaced wherever they stand, a second time when a job is
/// made, and `$$(name)` when it is matched; a line ends a value.
fn kept_as_it_is<'a>(what: &str, text: &'a str) -> Result<&'a str, Failure> {
    if text.contains(char::is_control) {
        return Err(refused(what, text, "holds a line break or another control character"));
    }
    match macro_in(text) {
        Some(found) => Err(refused(what, text, &format!("holds `{found}`, which HTCondor would replace"))),
        None => Ok(text),
    }
}

/// `$(`, `$$(`, `$ENV(` and whatever else begins so.
fn macro_in(text: &str) -> Option<&str> {
    text.match_indices('$').find_map(|(at, _)| {
        let name = text[at..].trim_start_matches('$');
        let rest = name.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        rest.starts_with('(').then(|| &text[at..=text.len() - rest.len()])
    })
}

fn refused(what: &str, text: &str, why: &str) -> Failure {
    Failure::new(Exit::Usage, format!("{what}: {text:?} {why}"))
        .hint("a submit file cannot hold it: change it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_htcondor() {
        let check = |word: &str, expected: &str| {
            assert_eq!(argument(word).expect("can be quoted"), expected);
        };
        check("/data/nih-1.0", "/data/nih-1.0");
        check("/my data", "'/my data'");
        check("it's \"it\"", "'it''s \"\"it\"\"'");
        check("a,b", "a,b");
        check("", "''");
        check("5 $ for $HOME and (x)", "'5 $ for $HOME and (x)'");
        let variables =
            BTreeMap::from([("A".to_owned(), "x y".to_owned()), ("B".to_owned(), "'".to_owned())]);
        assert_eq!(environment(&variables).expect("can be quoted"), "A='x y' B=''''");
    }

    #[test]
    fn what_htcondor_would_read_otherwise_is_refused() {
        let check = |text: &str, why: &str| {
            let path = Path::new(text);
            let failures = [
                argument(text).expect_err(text),
                folder("the sweep directory", path).expect_err(text),
                sent_file(path).expect_err(text),
                expression("--require", &format!("\"{text}\"")).expect_err(text),
                environment(&BTreeMap::from([("A".to_owned(), text.to_owned())])).expect_err(text),
            ];
            for failure in failures {
                assert!(failure.message.contains(why), "{failure}");
                assert_eq!(failure.exit, Exit::Usage);
            }
        };
        check("/a$(id)b", "holds `$(`, which HTCondor would replace");
        check("/a$$(id)b", "holds `$$(`");
        check("/a$$([1])b", "holds `$$(`");
        check("/$ENV(HOME)", "holds `$ENV(`");
        check("/$$$F(x)", "holds `$$$F(`");
        check("/$1$(x)", "holds `$(`");
        check("/a\nb", "control character");
        check("/a\tb", "control character");
        let why = |path: &str| sent_file(Path::new(path)).expect_err(path).message;
        assert!(why("/a,b/shard").contains("holds a comma"), "{}", why("/a,b/shard"));
        assert!(why("/a\\/b").contains("holds a backslash"), "{}", why("/a\\/b"));
        assert!(why("/a/shard ").contains("ends with a blank"), "{}", why("/a/shard "));
    }

    #[test]
    fn an_expression_ends_where_it_began() {
        let check = |text: &str| {
            let expected = text.trim();
            assert_eq!(expression("--require", text).expect("an expression"), expected);
        };
        check("TARGET.HasFastDisk");
        check(" regexp(\"^node[0-9](\\\"x\\\")\", Machine) && {1, 2}[0] == 1 ");
        check("Machine != \"b\u{fc}ro; #1 \\\\\" || 'odd name' / 2 > 1");
        let why = |text: &str| expression("--require", text).expect_err(text).message;
        for (text, expected) in [
            ("true) || (true", "has one ) too many"),
            ("(true", "lacks a )"),
            ("[a = 1}", "has one } too many"),
            ("\"a", "has a quote that is not closed"),
            ("\"a\\\"", "has a quote that is not closed"),
            ("true \\", "has a \\ outside of quotes"),
            ("true // really", "holds a comment"),
            ("true /* really", "holds a comment"),
            ("\u{e9}", "outside of quotes"),
            (" ", "is not an expression"),
        ] {
            assert!(why(text).contains(expected), "{}", why(text));
        }
    }

    #[test]
    fn an_attribute_has_a_name() {
        for name in ["ProjectName", "+ProjectName", "MY.ProjectName", "My.ProjectName"] {
            assert_eq!(attribute(name).expect("a name"), "ProjectName");
        }
        for name in ["", "+", "++A", "a b", "1a", "a.b", "a=b", "\u{e9}", "true", "My.", "a\nb"] {
            attribute(name).expect_err(name);
        }
    }
}
