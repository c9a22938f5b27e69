//! What HTCondor says of a URL that could not be fetched, as a sentence that begins with the URL.

/// A reason of a hold as a person reads it; others than those of URLs stay as they are. HTCondor ends what went wrong with
/// one file with `( URL file = URL )`, behind the machine, the plug-in and what else it was doing.
pub(super) fn sentence(reason: &str) -> String {
    let Some((before, behind)) = reason.split_once(" ( URL file = ") else { return reason.to_owned() };
    let Some((url, _)) = behind.split_once(" )") else { return reason.to_owned() };
    let after = |mark| before.rsplit_once(mark).map(|(_, why)| why);
    let why = after("|Error: ").or(after("Details: ")).unwrap_or(before);
    format!("{url} cannot be fetched: {}", why.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As HTCondor 23.9 wrote them.
    #[test]
    fn a_sentence_begins_with_the_url() {
        let check = |reason: &str, expected: &str| assert_eq!(sentence(reason), expected);
        check(
            "Transfer input files failure at execution point slot2_1@vm using protocol http. Details: The requested URL \
             returned error: 404 ( URL file = http://127.0.0.1:42959/web/b.tfrecord )|",
            "http://127.0.0.1:42959/web/b.tfrecord cannot be fetched: The requested URL returned error: 404",
        );
        check(
            "Transfer input files failure at execution point slot6_1@vm using protocol osdf. Details: Error from \
             slot6_1@vm: Failed to transfer files: FILETRANSFER:1:non-zero exit (1) from /usr/local/bin/osdf-plugin. |Error: \
             cp: error writing '/var/lib/condor/execute6/dir_454/a.tfrecord': No space left on device ( URL file = \
             osdf:///web/a.tfrecord )|",
            "osdf:///web/a.tfrecord cannot be fetched: cp: error writing '/var/lib/condor/execute6/dir_454/a.tfrecord': No \
             space left on device",
        );
        let other =
            "Error from slot6_1@vm: STARTER at 127.0.0.1 failed to receive file /x: No space left on device";
        check(other, other);
        check("half of it ( URL file = http://a", "half of it ( URL file = http://a");
    }
}
