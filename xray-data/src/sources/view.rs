//! Which way the X-rays went through the chest, in the words of tables, records and headers, and a choice of them.

use crate::error::{Error, Result};
use crate::labels::plain;
use crate::sources::Listed;
use std::collections::BTreeMap;
use std::fmt;
use xray_display::counted;

/// The views to keep. Command lines name it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ViewFilter {
    /// From the front or the back: PA, AP, and what is only said to be frontal
    Frontal,
    /// Postero-anterior: standing, towards the detector
    #[value(name = "PA", alias = "pa")]
    Pa,
    /// Antero-posterior: in bed as a rule
    #[value(name = "AP", alias = "ap")]
    Ap,
    /// From the side
    Lateral,
}

/// What a word for a view means; anything else, such as a rib series, is none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    Pa,
    Ap,
    Frontal,
    Lateral,
}

impl View {
    /// From what DICOM's View Position says (PS3.3 C.8.11.1: `LL` and `RL` are laterals, `LLD` lies on the side), and
    /// CheXpert, MIMIC-CXR and PadChest (`AP_horizontal`: lying) write.
    fn of(text: &str) -> Option<View> {
        match plain(text).as_str() {
            "pa" | "posteroanterior" => Some(View::Pa),
            "ap" | "anteroposterior" | "aphorizontal" | "apsupine" => Some(View::Ap),
            "frontal" => Some(View::Frontal),
            "lateral" | "l" | "lat" | "ll" | "rl" | "leftlateral" | "rightlateral" => Some(View::Lateral),
            _ => None,
        }
    }
}

impl ViewFilter {
    /// Whether an image of this view is wanted.
    pub fn keeps(self, view: &str) -> bool {
        match (self, View::of(view)) {
            (_, None) => false,
            (ViewFilter::Frontal, Some(view)) => view != View::Lateral,
            (ViewFilter::Pa, Some(view)) => view == View::Pa,
            (ViewFilter::Ap, Some(view)) => view == View::Ap,
            (ViewFilter::Lateral, Some(view)) => view == View::Lateral,
        }
    }

    /// Keeps what is of this view, of things that say theirs. Where `unsaid` are kept, so is what says none: whoever asks
    /// again later knows more. Returns what was left out, in a sentence.
    ///
    /// # Errors
    /// [`NoView`](Error::NoView) where nothing is left.
    pub(super) fn keep<T>(
        self,
        things: &mut Vec<T>,
        unsaid: bool,
        view: impl Fn(&T) -> Option<&str>,
    ) -> Result<Option<String>> {
        let all = things.len();
        let mut left_out: BTreeMap<String, u64> = BTreeMap::new();
        things.retain(|thing| {
            let keep = view(thing).map_or(unsaid, |view| self.keeps(view));
            if !keep {
                let what = view(thing).map_or("without a view".to_owned(), |view| format!("`{view}`"));
                *left_out.entry(what).or_default() += 1;
            }
            keep
        });
        let listed =
            left_out.iter().map(|(what, count)| format!("{count} {what}")).collect::<Vec<_>>().join(", ");
        if things.is_empty() && all > 0 {
            return Err(Error::NoView { view: self.to_string(), listed });
        }
        let left = all - things.len();
        Ok((left > 0)
            .then(|| format!("--view {self} leaves out {} of {all}: {listed}", counted(left, "image"))))
    }
}

impl ViewFilter {
    /// Keeps rows that are said to be of this view. Returns what was left out, in a sentence.
    ///
    /// # Errors
    /// [`NoView`](Error::NoView) where nothing is left.
    pub fn keep_rows(self, rows: &mut Vec<Listed>) -> Result<Option<String>> {
        self.keep(rows, false, |listed| listed.row.view.as_deref())
    }
}

impl fmt::Display for ViewFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ViewFilter::Frontal => "frontal",
            ViewFilter::Pa => "PA",
            ViewFilter::Ap => "AP",
            ViewFilter::Lateral => "lateral",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_known_in_every_spelling() {
        let check = |view: &str, expected: [bool; 4]| {
            let filters = [ViewFilter::Frontal, ViewFilter::Pa, ViewFilter::Ap, ViewFilter::Lateral];
            assert_eq!(filters.map(|filter| filter.keeps(view)), expected, "{view}");
        };
        for pa in ["PA", "pa", "POSTEROANTERIOR", "postero-anterior"] {
            check(pa, [true, true, false, false]);
        }
        for ap in ["AP", "ANTEROPOSTERIOR", "AP_horizontal", "AP SUPINE"] {
            check(ap, [true, false, true, false]);
        }
        check("Frontal", [true, false, false, false]);
        for lateral in ["LATERAL", "L", "LL", "RL", "left lateral"] {
            check(lateral, [false, false, false, true]);
        }
        for other in ["COSTAL", "LLD", "PA LLD", "XTABLE", "OBLICUA", "UNK", ""] {
            check(other, [false; 4]);
        }
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let mut views = vec![Some("PA"), Some("LATERAL"), None, Some("L"), Some("AP")];
        let said = ViewFilter::Frontal.keep(&mut views, true, |view| *view).expect("some are left");
        assert_eq!(said.as_deref(), Some("--view frontal leaves out 2 images of 5: 1 `LATERAL`, 1 `L`"));
        assert_eq!(views, [Some("PA"), None, Some("AP")]);
        let error = ViewFilter::Lateral.keep(&mut views, false, |view| *view).expect_err("none is lateral");
        assert_eq!(error.to_string(), "no image is lateral: 1 `AP`, 1 `PA`, 1 without a view");
    }
}
