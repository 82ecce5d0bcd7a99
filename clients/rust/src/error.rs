//! What a call fails with. The kind follows from the reason that the server gave, never from a text.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{FieldViolation, StatusExt};

const DOMAIN: &str = "managedagents";

/// What kind of failure it was. A failed model or tool is none: it is an event in the session's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is wrong; [`Error::violations`] names each bad field. Asking again does not help.
    InvalidRequest,
    /// A part that this server does not have yet; the metadata's `field` names it.
    NotImplemented,
    /// No such agent, session or tool use, or another tenant's.
    NotFound,
    /// The tool use is closed: somebody was faster, or the turn was interrupted. Benign: go on.
    ToolUseClosed,
    /// The session is completed, failed or archived (the metadata's `status`): only reads and a deletion work.
    SessionTerminal,
    /// The session has an outcome that is not over yet; the metadata's `seq` is that of its event.
    OutcomeActive,
    /// The agent is archived and takes no new sessions.
    AgentArchived,
    /// The agent was changed since the version that the update names: read it and decide again.
    VersionConflict,
    /// The request id was used with another request.
    RequestIdReused,
    /// The seq to go on from is beyond the log's head; the metadata's `head_seq` gives the head.
    FromSeqBeyondHead,
    /// A backup was restored: the seqs known here mean nothing any more. Read the session anew from 0.
    LogReplaced,
    /// A limit is reached; the metadata's `limit` names it, `value` gives it.
    LimitExceeded,
    /// The model's provider cannot be used as the definition asks.
    ProviderUnusable,
    /// A tool of the definition cannot be used at this server.
    ToolUnusable,
    /// No token, or one that the server does not know.
    Unauthenticated,
    /// An event of the log cannot be read (the metadata's `seq`): go on after it.
    EventUnreadable,
    /// A fault of the server; its own log tells more under the metadata's `error_id`.
    ServerFault,
    /// The server is there and cannot do it now: it shuts down, or its log cannot be written.
    Unavailable,
    /// No server answered in the time that the client has patience for. A changing call may have been applied.
    NoAnswer,
    /// The server did not answer in time. A changing call may have been applied.
    DeadlineExceeded,
    /// Something speaks gRPC at this address, and it is not this service, or an older version of it.
    NotThisService,
    /// A stream gave what it never gives, say a hole between two seqs: a fault of the server or of something between.
    PromiseBroken,
    /// What was given to the client is not usable: an address, a token, or JSON that is no such message. Nothing was
    /// sent.
    Unusable,
    /// A reason or a status that this version of the client does not know.
    Other,
}

impl ErrorKind {
    fn of_reason(reason: &str) -> Self {
        match reason {
            "INVALID_REQUEST" | "MALFORMED_REQUEST" | "INVALID_PAGE_TOKEN" => Self::InvalidRequest,
            "NOT_IMPLEMENTED" => Self::NotImplemented,
            "AGENT_NOT_FOUND" | "SESSION_NOT_FOUND" | "TOOL_USE_NOT_FOUND" => Self::NotFound,
            "TOOL_USE_CLOSED" => Self::ToolUseClosed,
            "SESSION_TERMINAL" => Self::SessionTerminal,
            "OUTCOME_ACTIVE" => Self::OutcomeActive,
            "AGENT_ARCHIVED" => Self::AgentArchived,
            "VERSION_CONFLICT" => Self::VersionConflict,
            "REQUEST_ID_REUSED" => Self::RequestIdReused,
            "FROM_SEQ_BEYOND_HEAD" => Self::FromSeqBeyondHead,
            "LOG_REPLACED" => Self::LogReplaced,
            "LIMIT_EXCEEDED" => Self::LimitExceeded,
            "PROVIDER_UNUSABLE" => Self::ProviderUnusable,
            "TOOL_UNUSABLE" => Self::ToolUnusable,
            "UNAUTHENTICATED" => Self::Unauthenticated,
            "EVENT_UNREADABLE" => Self::EventUnreadable,
            "INTERNAL" => Self::ServerFault,
            "LOG_UNAVAILABLE" | "DRAINING" => Self::Unavailable,
            "DEADLINE_EXCEEDED" => Self::DeadlineExceeded,
            _ => Self::Other,
        }
    }
}

/// A call that failed.
#[derive(Clone, Debug)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    code: Option<Code>,
    reason: Option<String>,
    violations: Vec<FieldViolation>,
    retry_after: Option<Duration>,
    metadata: HashMap<String, String>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            code: None,
            reason: None,
            violations: Vec::new(),
            retry_after: None,
            metadata: HashMap::new(),
        }))
    }

    /// The error that a failed call gives. `answered`: this client has heard from the server before.
    pub(crate) fn of_status(status: &Status, address: &str, answered: bool) -> Self {
        let (code, text, details) = (status.code(), status.message(), status.get_error_details());
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        let (kind, message) = match info {
            Some(info) => (ErrorKind::of_reason(&info.reason), text.to_owned()),
            None if is_cut(status) => {
                let said = if answered { "no answer from the server at" } else { "no server at" };
                (ErrorKind::NoAnswer, format!("{said} {address} ({})", with_causes(status)))
            }
            None => match code {
                Code::Unimplemented => {
                    let said = format!("{address} is no managed agents server, or an older one ({text})");
                    (ErrorKind::NotThisService, said)
                }
                Code::DeadlineExceeded => (ErrorKind::DeadlineExceeded, not_in_time(address)),
                _ => (ErrorKind::Other, format!("{code:?}: {text}")),
            },
        };
        let mut error = Self::new(kind, message);
        error.0.code = Some(code);
        error.0.reason = info.map(|info| info.reason.clone());
        error.0.metadata = info.map(|info| info.metadata.clone()).unwrap_or_default();
        error.0.violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        error.0.retry_after = details.retry_info().and_then(|retry| retry.retry_delay);
        error
    }

    pub(crate) fn late(address: &str) -> Self {
        Self::new(ErrorKind::DeadlineExceeded, not_in_time(address))
    }

    /// Whether asking again, with the same request id, may help.
    pub(crate) fn is_passing(&self) -> bool {
        let cut = matches!(self.0.code, Some(Code::Unavailable | Code::Cancelled));
        self.0.retry_after.is_some() || self.0.kind == ErrorKind::NoAnswer || cut
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What happened, in words for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The gRPC status. None: found before anything was sent, or by the client itself.
    pub fn code(&self) -> Option<Code> {
        self.0.code
    }

    /// The name in `ErrorReason` without its prefix, say `SESSION_NOT_FOUND`. None: the server gave none.
    pub fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// The bad fields of a refused request.
    pub fn violations(&self) -> &[FieldViolation] {
        &self.0.violations
    }

    /// After how long asking again may help. None: the server did not say that waiting helps.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// What the server says beside the reason, say `limit` and `value`.
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.0.metadata
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

/// What a cut connection looks like. A server that stops, or a proxy, ends a call with CANCELLED; a cancellation of our
/// own never becomes a status. Where the connection breaks, tonic gives a status with the cause as its source; where
/// only the stream is reset, UNKNOWN. The service itself always gives a reason.
fn is_cut(status: &Status) -> bool {
    let cut = matches!(status.code(), Code::Unavailable | Code::Cancelled | Code::Unknown);
    cut || std::error::Error::source(status).is_some()
}

fn not_in_time(address: &str) -> String {
    format!("{address} did not answer in time; the call may have been applied")
}

/// tonic's own words say little more than "transport error"; what happened stands in the causes.
fn with_causes(status: &Status) -> String {
    let mut words = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let said = error.to_string();
        if !words.contains(&said) {
            words = format!("{words}: {said}");
        }
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;
    use crate::v1::ErrorReason;

    fn error(code: Code, details: ErrorDetails) -> Error {
        Error::of_status(&Status::with_error_details(code, "words", details), "host:1", true)
    }

    fn reason(reason: &str, domain: &str) -> ErrorDetails {
        ErrorDetails::with_error_info(reason, domain, HashMap::from([("limit".into(), "streams".into())]))
    }

    #[test]
    fn every_reason_of_the_proto_has_a_kind_that_follows_from_it_alone() {
        for number in 1.. {
            let Ok(known) = ErrorReason::try_from(number) else { break };
            let name = known.as_str_name().trim_start_matches("ERROR_REASON_");
            let found = error(Code::FailedPrecondition, reason(name, DOMAIN));
            assert_ne!(found.kind(), ErrorKind::Other, "{name}");
            assert_eq!((found.reason(), found.message()), (Some(name), "words"));
        }
    }

    #[test]
    fn an_unknown_reason_keeps_its_name() {
        let found = error(Code::FailedPrecondition, reason("NEW_ONE", DOMAIN));
        assert_eq!((found.kind(), found.reason()), (ErrorKind::Other, Some("NEW_ONE")));
    }

    #[test]
    fn a_reason_of_another_domain_is_not_ours() {
        let found = error(Code::NotFound, reason("SESSION_NOT_FOUND", "elsewhere"));
        assert_eq!((found.kind(), found.reason(), found.metadata().len()), (ErrorKind::Other, None, 0));
    }

    #[test]
    fn violations_metadata_and_delay_are_carried() {
        let mut details = reason("INVALID_REQUEST", DOMAIN);
        details.add_bad_request_violation("definition.name", "is required");
        let bad = error(Code::InvalidArgument, details);
        let violation = &bad.violations()[0];
        assert_eq!((violation.field.as_str(), violation.description.as_str()), ("definition.name", "is required"));
        assert!(!bad.is_passing());

        let mut details = reason("LIMIT_EXCEEDED", DOMAIN);
        details.set_retry_info(Some(Duration::from_millis(1500)));
        let full = error(Code::ResourceExhausted, details);
        assert_eq!((full.kind(), full.metadata()["limit"].as_str()), (ErrorKind::LimitExceeded, "streams"));
        assert_eq!(full.retry_after(), Some(Duration::from_millis(1500)));
        assert!(full.is_passing());
    }

    #[test]
    fn details_that_cannot_be_read_leave_the_code() {
        let garbage = Status::with_details(Code::Internal, "words", vec![0xff, 0xff].into());
        let found = Error::of_status(&garbage, "host:1", true);
        assert_eq!((found.kind(), found.code()), (ErrorKind::Other, Some(Code::Internal)));
        assert!(found.message().contains("words"));
    }
}
