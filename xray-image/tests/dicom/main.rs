//! DICOM files: every coding that is read, the way to gray, and files that mean harm.

mod codings;
mod gray;
mod hostile;
mod mutations;
mod writer;
