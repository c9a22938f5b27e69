//! Where jobs fetch the published shards: an address that HTCondor's plug-ins and its submit files take as it is.

use xray_artifacts::{Exit, Failure};

/// The folder of published shards as jobs see it. Its text holds nothing that must be quoted anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DataUrl<'a> {
    scheme: &'a str,
    /// Without a slash at its end.
    text: &'a str,
}

const EXAMPLES: &str =
    "such as osdf:///NAMESPACE/nih, https://HOST/nih, s3://BUCKET/nih or file:///cvmfs/nih";

impl<'a> DataUrl<'a> {
    /// Checks what a person gave.
    ///
    /// # Errors
    /// What is not an address of a folder, and what a submit file cannot hold.
    pub(super) fn parse(text: &'a str) -> Result<DataUrl<'a>, Failure> {
        let refused = |why: &str, hint: &str| {
            Failure::new(Exit::Usage, format!("--data-url: {text:?} {why}")).hint(hint)
        };
        let Some((scheme, place)) = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
            return Err(refused("is not a URL", EXAMPLES));
        };
        let is_kept = |c: char| c.is_ascii_alphanumeric() || "-._~/:+=%".contains(c);
        if let Some(other) = place.chars().find(|c| !is_kept(*c)) {
            let hint =
                "write it as % and two hexadecimal digits; names and passwords of users do not belong here";
            return Err(refused(&format!("holds {other:?}"), hint));
        }
        let mut escapes = place.split('%').skip(1);
        if !escapes.all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|b| b.is_ascii_hexdigit())) {
            return Err(refused("holds a % without two hexadecimal digits", "a % itself is %25"));
        }
        let folder = place.trim_end_matches('/');
        if folder.is_empty() || (scheme.starts_with("http") && place.starts_with('/')) {
            return Err(refused("names no folder", EXAMPLES));
        }
        let text = &text[..text.len() - (place.len() - folder.len())];
        Ok(DataUrl { scheme, text })
    }

    /// The address of a file in it.
    pub(super) fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.text)
    }

    /// What a machine's plug-ins call the way: HTCondor takes what precedes a `+` for the name of a credential.
    pub(super) fn method(&self) -> &'a str {
        self.scheme.rsplit('+').next().unwrap_or(self.scheme)
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_as_it_is() {
        let check = |text: &str, method: &str, file: &str| {
            let url = DataUrl::parse(text).expect(text);
            assert_eq!((url.method(), url.file("a.tfrecord").as_str()), (method, file));
        };
        check("osdf:///ospool/ap40/data/me/nih", "osdf", "osdf:///ospool/ap40/data/me/nih/a.tfrecord");
        check("https://host:8443/~me/my%20data//", "https", "https://host:8443/~me/my%20data/a.tfrecord");
        check("s3://bucket", "s3", "s3://bucket/a.tfrecord");
        check("token+https://host/nih/", "https", "token+https://host/nih/a.tfrecord");
        check("file:///data", "file", "file:///data/a.tfrecord");
    }

    #[test]
    fn what_a_submit_file_or_a_plug_in_would_read_otherwise_is_refused() {
        let check = |text: &str, why: &str| {
            let failure = DataUrl::parse(text).expect_err(text);
            assert!(failure.message.ends_with(why), "{failure}");
            assert_eq!((failure.exit, failure.hint.is_some()), (Exit::Usage, true));
        };
        check("", "is not a URL");
        check("/data/nih", "is not a URL");
        check("://host/nih", "is not a URL");
        check("HTTPS://host/nih", "is not a URL");
        check("a b://host/nih", "is not a URL");
        check("https://host/my data", "holds ' '");
        check("https://host/a,b", "holds ','");
        check("https://host/$(id)", "holds '$'");
        check("https://me:secret@host/nih", "holds '@'");
        check("https://host/nih?version=2", "holds '?'");
        check("https://host/nih\nqueue", "holds '\\n'");
        check("https://host/50%", "holds a % without two hexadecimal digits");
        check("https://host/50%2", "holds a % without two hexadecimal digits");
        check("https://host/50%2g", "holds a % without two hexadecimal digits");
        check("https:///nih", "names no folder");
        check("osdf:///", "names no folder");
    }
}
