//! Why a request gets no findings: an HTTP status, a word for programs, a sentence and a hint for people.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use xray_bundle::NonFinite;
use xray_image::ImageProblem;

/// What is said instead of findings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The HTTP status.
    #[serde(skip)]
    pub status: u16,
    /// For programs; never changes.
    pub code: String,
    /// For people.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Seconds after which it is worth asking again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// By which the request is found in the log; of an image among others, none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Problem {
    /// Of a status between 400 and 599.
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Problem {
            status: status.as_u16(),
            code: code.to_owned(),
            message: message.into(),
            hint: None,
            retry_after: None,
            request_id: None,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Problem { hint: Some(hint.into()), ..self }
    }

    /// The server has more to do than it can in time.
    pub fn busy(retry_after: u64) -> Self {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "the server has too much to do");
        Problem { retry_after: Some(retry_after), ..problem }
    }

    /// The status as the HTTP library has it.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<ImageProblem> for Problem {
    fn from(problem: ImageProblem) -> Self {
        let message = problem.to_string();
        match problem {
            ImageProblem::Empty => Problem::new(StatusCode::BAD_REQUEST, "empty", message),
            ImageProblem::Format { .. } => {
                Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "format", message)
                    .hint("send a JPEG, PNG or DICOM file")
            }
            ImageProblem::TooLarge { .. } => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "pixels", message),
            ImageProblem::TooMuchMemory { .. } => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "memory", message)
                    .hint("send it smaller, or in gray")
            }
            // No fault of the file.
            ImageProblem::NoMemory { .. } => Problem::busy(1),
            ImageProblem::TooMuchWork | ImageProblem::OutOfTime => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "effort", message)
                    .hint("send it smaller, or as a baseline JPEG in gray")
            }
            _ => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "image", message),
        }
    }
}

impl From<NonFinite> for Problem {
    fn from(error: NonFinite) -> Self {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "model", error.to_string())
            .hint("the fault is the model's, not the image's: tell the operator of this server")
    }
}
