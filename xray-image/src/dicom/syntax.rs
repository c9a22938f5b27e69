//! Transfer syntaxes: how elements are written, and how pixels are coded (PS3.5, 10; PS3.6, A).

use super::elements::Encoding;
use super::header::quoted;

/// How pixels are coded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Native,
    Rle,
    /// JPEG of any process, JPEG-LS too: the codestream itself tells.
    Jpeg,
    Jpeg2000,
    /// Not read; its name.
    Other(String),
}

pub(super) struct Syntax {
    pub(super) encoding: Encoding,
    pub(super) deflated: bool,
    pub(super) coding: Coding,
}

/// The syntax of an identifier, without one implicit and native.
pub(super) fn of(uid: Option<&str>) -> Syntax {
    let with = |encoding, deflated, coding| Syntax { encoding, deflated, coding };
    let Some(uid) = uid else { return with(Encoding::IMPLICIT, false, Coding::Native) };
    let coded = |coding| with(Encoding::EXPLICIT, false, coding);
    let Some(last) = uid.strip_prefix("1.2.840.10008.1.2") else {
        return coded(Coding::Other(format!("in transfer syntax {}", quoted(uid))));
    };
    match last {
        "" => with(Encoding::IMPLICIT, false, Coding::Native),
        ".1" => coded(Coding::Native),
        ".1.98" => coded(Coding::Other("encapsulated but uncompressed".to_owned())),
        ".1.99" => with(Encoding::EXPLICIT, true, Coding::Native),
        ".2" => with(Encoding { explicit: true, big_endian: true }, false, Coding::Native),
        ".5" => coded(Coding::Rle),
        ".4.50" | ".4.51" | ".4.52" | ".4.53" | ".4.54" | ".4.55" | ".4.56" | ".4.57" | ".4.58" | ".4.59"
        | ".4.60" | ".4.61" | ".4.62" | ".4.63" | ".4.64" | ".4.65" | ".4.66" | ".4.70" | ".4.80"
        | ".4.81" => coded(Coding::Jpeg),
        ".4.90" | ".4.91" => coded(Coding::Jpeg2000),
        ".4.92" | ".4.93" => coded(Coding::Other("JPEG 2000 part 2".to_owned())),
        ".4.94" | ".4.95" => coded(Coding::Other("at another address (JPIP)".to_owned())),
        ".4.110" | ".4.111" | ".4.112" => coded(Coding::Other("JPEG XL".to_owned())),
        ".4.201" | ".4.202" | ".4.203" => {
            coded(Coding::Other("High-Throughput JPEG 2000 (HTJ2K)".to_owned()))
        }
        ".4.204" | ".4.205" => coded(Coding::Other("at another address (JPIP, HTJ2K)".to_owned())),
        ".8.1" => coded(Coding::Other("deflated frames".to_owned())),
        _ if last.starts_with(".4.10") => coded(Coding::Other("a video (MPEG or HEVC)".to_owned())),
        _ => coded(Coding::Other(format!("in transfer syntax {}", quoted(uid)))),
    }
}
