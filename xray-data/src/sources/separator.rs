//! What stands between the columns of a table, and between the findings of one cell.

/// Between columns, the usual first.
const COLUMNS: [char; 3] = [',', ';', '\t'];

/// Between findings, those first that occur in no finding's name.
const FINDINGS: [char; 3] = ['|', ';', ','];

/// Stands for lists in brackets, which are read whatever the separator.
pub(super) const PYTHON: char = '[';

/// What Excel writes above the header line: `sep=;`. Returns the separator, the text below, and the lines above it.
pub(super) fn said(text: &str) -> (Option<char>, &str, u64) {
    let Some((first, below)) = text.split_once('\n') else { return (None, text, 0) };
    let mut rest =
        first.trim_end_matches('\r').trim_matches('"').strip_prefix("sep=").unwrap_or_default().chars();
    match (rest.next(), rest.next()) {
        (Some(separator), None) if separator.is_ascii() => (Some(separator), below, 1),
        _ => (None, text, 0),
    }
}

/// Where none of the usual stands in the header line.
const UNUSUAL: char = '|';

/// The most frequent in the header line, outside quotes.
pub(super) fn of_columns(text: &str) -> char {
    let mut quoted = false;
    let mut has_unusual = false;
    let mut counts = [0u32; COLUMNS.len()];
    for c in text.trim_start().chars() {
        match c {
            '"' => quoted = !quoted,
            '\n' | '\r' if !quoted => break,
            _ if quoted => {}
            UNUSUAL => has_unusual = true,
            _ => counts.iter_mut().zip(COLUMNS).filter(|(_, known)| *known == c).for_each(|(n, _)| *n += 1),
        }
    }
    if has_unusual && counts.iter().all(|&count| count == 0) {
        return UNUSUAL;
    }
    // Of equals the last is the maximum: reversed, the usual one.
    COLUMNS.into_iter().zip(counts).rev().max_by_key(|(_, count)| *count).map_or(',', |(known, _)| known)
}

/// What the cells of a column of findings are joined by, so far as they show it.
pub(super) fn of_findings<'a>(cells: impl Iterator<Item = &'a str> + Clone) -> char {
    let is_list = |cell: &&str| cell.starts_with('[') && cell.ends_with(']');
    let shown = |&c: &char| cells.clone().any(|cell| !is_list(&cell) && cell.contains(c));
    let usual = if cells.clone().any(|cell| is_list(&cell)) { PYTHON } else { FINDINGS[0] };
    FINDINGS.into_iter().find(shown).unwrap_or(usual)
}

/// How findings are joined, as messages say it.
pub(super) fn style(separator: char) -> String {
    match separator {
        PYTHON => "lists as Python prints them".to_owned(),
        _ => format!("joined by {}", name(separator)),
    }
}

/// Name of a separator in messages.
pub(super) fn name(separator: char) -> String {
    if separator == '\t' { "tabs".to_owned() } else { format!("`{separator}`") }
}

/// The findings of one cell: a list as Python prints it (PadChest), or names with separators between.
pub(super) fn findings(cell: &str, separator: char) -> Vec<&str> {
    let names: Vec<&str> = match cell.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(list) => python_list(list),
        None => cell.split(separator).collect(),
    };
    names.into_iter().map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// `'a', "b's", c`: commas inside quotes do not separate. Between quotes there may be blanks alone, as numpy prints arrays.
fn python_list(list: &str) -> Vec<&str> {
    let (mut items, mut start, mut quote) = (Vec::new(), 0, None);
    for (at, c) in list.char_indices() {
        match (c, quote) {
            ('\'' | '"', None) if list[start..at].trim().is_empty() => quote = Some(c),
            ('\'' | '"', None)
                if list[start..at].trim_end() != &list[start..at] && ends_quoted(&list[start..at]) =>
            {
                items.push(&list[start..at]);
                (start, quote) = (at, Some(c));
            }
            (c, Some(open)) if c == open => quote = None,
            (',', None) => {
                items.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(&list[start..]);
    let unquoted = |item: &'_ str| -> (usize, usize) {
        let bare = item.trim();
        let inside = ends_quoted(bare);
        (usize::from(inside), bare.len() - usize::from(inside))
    };
    items
        .into_iter()
        .map(|item| {
            let (from, to) = unquoted(item);
            &item.trim()[from..to]
        })
        .collect()
}

/// Whether an item is in quotes that are closed.
fn ends_quoted(item: &str) -> bool {
    let item = item.trim();
    ['\'', '"'].iter().any(|&quote| item.len() > 1 && item.starts_with(quote) && item.ends_with(quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_told_apart_in_every_way_of_joining_them() {
        let check = |cell, expected: &[&str]| {
            assert_eq!(findings(cell, of_findings([cell].into_iter())), expected, "{cell}");
        };
        check("Mass", &["Mass"]);
        check("Mass|Effusion", &["Mass", "Effusion"]);
        check("Mass; Effusion;", &["Mass", "Effusion"]);
        check("Mass, Effusion", &["Mass", "Effusion"]);
        check("['mass', 'pleural effusion']", &["mass", "pleural effusion"]);
        check("[\"Kerley's lines\", 'a, b', c]", &["Kerley's lines", "a, b", "c"]);
        check("['mass ']", &["mass"]);
        check("['mass' 'pleural effusion'\n 'edema']", &["mass", "pleural effusion", "edema"]);
        check("['a''b', Kerley's 'x']", &["a''b", "Kerley's 'x'"]);
        check("[]", &[]);
        check("['']", &[]);
        check("['a b", &["['a b"]); // cut off, so no list
    }
}
