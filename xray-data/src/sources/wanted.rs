//! Which members of an archive a table may mean, told by the end of their paths before their bytes are looked at.

use super::tails::tail;
use std::collections::HashSet;

/// Patient, study and view: so many parts tell the images of every published data set apart.
const PARTS: usize = 3;

/// Number of extensions that images have: a row finds one image of each.
const KINDS: usize = 6;

/// Ends of paths that rows name.
pub(super) struct Wanted {
    rows: usize,
    /// The last parts of each row's path.
    ends: HashSet<String>,
    /// Tails with fewer parts, for members that have no more.
    shorter: HashSet<String>,
}

impl Wanted {
    /// What these files are found by: so many last parts of their paths, or, where none is said, the paths, of which folders
    /// in front may not be there.
    pub(super) fn of<'a>(files: impl Iterator<Item = &'a str>, parts: Option<usize>) -> Self {
        let mut wanted = Wanted { rows: 0, ends: HashSet::new(), shorter: HashSet::new() };
        for file in files {
            wanted.rows += 1;
            let longest = parts.unwrap_or(PARTS);
            let mut ends = (1..=longest).rev().filter_map(|parts| tail(file, parts));
            wanted.ends.extend(ends.next());
            if parts.is_none() {
                wanted.shorter.extend(ends);
            }
        }
        wanted
    }

    /// Whether a row may mean this member.
    pub(super) fn has(&self, member: &str) -> bool {
        let is_end = |parts| tail(member, parts).is_some_and(|end| self.ends.contains(&end));
        let depth = member.split('/').count();
        (1..=PARTS).any(is_end)
            || depth < PARTS && tail(member, depth).is_some_and(|end| self.shorter.contains(&end))
    }

    /// More members than this cannot all be meant.
    pub(super) fn most(&self) -> usize {
        self.rows.saturating_mul(KINDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_wanted_by_the_end_of_their_paths() {
        let check = |file: &str, parts: Option<usize>, member: &str, expected: bool| {
            let wanted = Wanted::of([file].into_iter(), parts);
            assert_eq!(wanted.has(member), expected, "{file} {parts:?} {member}");
        };
        check("a.png", None, "images/deep/down/a.jpg", true);
        check("a.png", None, "images/b.png", false);
        check("x/a.png", None, "top/x/a.png", true);
        check("x/a.png", None, "top/y/a.png", false);
        check("x/a.png", None, "a.png", true); // a folder in front that is not there
        check("C:\\data\\p1\\s1\\v1.jpg", None, "top/train/p1/s1/v1.jpg", true);
        check("C:\\data\\p1\\s1\\v1.jpg", None, "top/train/p2/s1/v1.jpg", false);
        check("C:\\data\\p1\\s1\\v1.jpg", None, "s1/v1.jpg", true);
        check("files/p10/p1/s1/a.jpg", Some(1), "flat/a.jpg", true);
        check("files/p10/p1/s1/a.jpg", Some(3), "p1/s1/a.png", true);
        check("files/p10/p1/s1/a.jpg", Some(3), "s1/a.png", false);
        assert_eq!(Wanted::of(["a", "b"].into_iter(), None).most(), 12);
    }
}
