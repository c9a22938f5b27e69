//! stub
pub fn report(_: &crate::sweep_dir::SweepDir) -> Result<std::path::PathBuf, xray_artifacts::Failure> {
    Ok("x".into())
}
