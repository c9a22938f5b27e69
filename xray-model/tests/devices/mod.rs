//! Where networks are tested.

use xray_model::{Backend, Learner, LearnerConfig};

/// This processor by our kernels and by burn's own operations; in a build for GPUs, those of this machine. Says which
/// are left out.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn devices() -> Vec<Backend> {
    let compiled = Backend::compiled();
    let gpus = [Backend::Wgpu, Backend::WgpuBurn].into_iter().filter(|backend| compiled.contains(backend));
    let gpus: Vec<_> = gpus.collect();
    if gpus.is_empty() {
        return vec![Backend::Cpu, Backend::Flex];
    }
    let opens = |backend: &Backend| match Learner::new(
        &LearnerConfig { backend: *backend, ..LearnerConfig::new(1) },
        0,
    ) {
        Ok(_) => true,
        Err(error) => {
            eprintln!("skipped: {}: {error}", backend.name());
            false
        }
    };
    gpus.into_iter().filter(opens).collect()
}
