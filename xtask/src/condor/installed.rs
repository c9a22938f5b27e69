//! The pool that this machine already belongs to.

use xray_workspace::steps;

/// Whether HTCondor is installed and its queue answers.
pub(crate) fn answers() -> bool {
    steps::succeeds(steps::command("condor_submit").arg("-version"))
        && steps::succeeds(steps::command("condor_q").arg("-totals"))
}
