//! Names of members, which were written by whoever made the archive.

use super::ArchiveProblem;

/// Longer names exist on no system.
pub(super) const LONGEST: usize = 4096;

/// The path of a member in its archive, without `.` and empty parts; none where a part begins with a dot, as hidden files do
/// and what macOS puts beside each file, or nothing is left.
///
/// # Errors
/// A name that leads out of the archive, or that no file has.
pub(super) fn path_of(raw: &[u8]) -> Result<Option<String>, ArchiveProblem> {
    let name = String::from_utf8_lossy(raw);
    if raw.len() > LONGEST || name.chars().any(char::is_control) {
        return Err(ArchiveProblem::Name);
    }
    let has_drive = matches!(raw, [drive, b':', ..] if drive.is_ascii_alphabetic());
    if name.starts_with('/') || has_drive || name.split('/').any(|part| part == "..") {
        return Err(ArchiveProblem::Outside);
    }
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let is_hidden = parts.iter().any(|part| part.starts_with('.'));
    Ok((!is_hidden && !parts.is_empty()).then(|| parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_the_archive() {
        let check = |name: &str, expected: Result<Option<&str>, ArchiveProblem>| {
            assert_eq!(path_of(name.as_bytes()), expected.map(|name| name.map(str::to_owned)), "{name:?}");
        };
        check("images/a.png", Ok(Some("images/a.png")));
        check("./images//a.png", Ok(Some("images/a.png")));
        check("a..b.png", Ok(Some("a..b.png")));
        check("__MACOSX/._a.png", Ok(None));
        check(".git/a.png", Ok(None));
        check("./", Ok(None));
        for name in ["../a.png", "images/../../a.png", "..", "/etc/a.png", "C:/a.png", "c:a.png"] {
            check(name, Err(ArchiveProblem::Outside));
        }
        check("a\nb.png", Err(ArchiveProblem::Name));
        check("a\0.png", Err(ArchiveProblem::Name));
        check(&"a/".repeat(2049), Err(ArchiveProblem::Name));
    }
}
