//! What a call fails with. The kind follows from the reason that the server gave, never from a text.

use std::collections::HashMap;
use std::error::Error as _;
use std::fmt;
use std::iter::successors;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{FieldViolation, StatusExt};

const DOMAIN: &str = "managedagents";

/// The kinds of failures, each with the reasons that the server gives for it.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $(= $($reason:literal)|+)?,)*) => {
        /// What kind of failure it was. A failed model or tool is none: it is an event in the session's log.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[$doc])* $kind,)*
        }

        impl ErrorKind {
            fn of_reason(reason: &str) -> Self {
                match reason {
                    $($($($reason)|+ => Self::$kind,)?)*
                    _ => Self::Other,
                }
            }
        }
    };
}

kinds! {
    /// The request is wrong; [`Error::violations`] names each bad field. Asking again does not help.
    InvalidRequest = "INVALID_REQUEST" | "MALFORMED_REQUEST" | "INVALID_PAGE_TOKEN",
    /// A part that this server does not have yet; the metadata's `field` names it.
    NotImplemented = "NOT_IMPLEMENTED",
    /// No such agent, session or tool use, or another tenant's.
    NotFound = "AGENT_NOT_FOUND" | "SESSION_NOT_FOUND" | "TOOL_USE_NOT_FOUND",
    /// The tool use is closed: somebody was faster, or the turn was interrupted. Benign: go on.
    ToolUseClosed = "TOOL_USE_CLOSED",
    /// The session is completed, failed or archived (the metadata's `status`): only reads and a deletion work.
    SessionTerminal = "SESSION_TERMINAL",
    /// The session has an outcome that is not over yet; the metadata's `seq` is that of its event.
    OutcomeActive = "OUTCOME_ACTIVE",
    /// The agent is archived and takes no new sessions.
    AgentArchived = "AGENT_ARCHIVED",
    /// The agent was changed since the version that the update names: read it and decide again.
    VersionConflict = "VERSION_CONFLICT",
    /// The request id was used with another request.
    RequestIdReused = "REQUEST_ID_REUSED",
    /// The seq to go on from is beyond the log's head; the metadata's `head_seq` gives the head.
    FromSeqBeyondHead = "FROM_SEQ_BEYOND_HEAD",
    /// A backup was restored: the seqs known here mean nothing any more. Read the session anew from 0.
    LogReplaced = "LOG_REPLACED",
    /// A limit is reached; the metadata's `limit` names it, `value` gives it.
    LimitExceeded = "LIMIT_EXCEEDED",
    /// The model's provider cannot be used as the definition asks.
    ProviderUnusable = "PROVIDER_UNUSABLE",
    /// A tool of the definition cannot be used at this server.
    ToolUnusable = "TOOL_UNUSABLE",
    /// No token, or one that the server does not know.
    Unauthenticated = "UNAUTHENTICATED",
    /// An event of the log cannot be read (the metadata's `seq`): go on after it.
    EventUnreadable = "EVENT_UNREADABLE",
    /// A fault of the server; its own log tells more under the metadata's `error_id`.
    ServerFault = "INTERNAL",
    /// The server is there and cannot do it now: it shuts down, or its log cannot be written.
    Unavailable = "LOG_UNAVAILABLE" | "DRAINING",
    /// No server answered in the time that the client has patience for. A changing call may have been applied.
    NoAnswer,
    /// The server did not answer in time. A changing call may have been applied.
    DeadlineExceeded = "DEADLINE_EXCEEDED",
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
        let (code, text) = (status.code(), status.message());
        let info = status.get_details_error_info().filter(|info| info.domain == DOMAIN);
        let (kind, message) = match &info {
            Some(info) => (ErrorKind::of_reason(&info.reason), text.to_owned()),
            None if is_cut(status) => {
                let said = if answered { "no answer from the server at" } else { "no server at" };
                (ErrorKind::NoAnswer, format!("{said} {address} ({})", with_causes(status)))
            }
            None if code == Code::Unimplemented => {
                let said = format!("{address} is no managed agents server, or an older one ({text})");
                (ErrorKind::NotThisService, said)
            }
            None if code == Code::DeadlineExceeded => {
                let said = format!("{address} did not answer in time; the call may have been applied");
                (ErrorKind::DeadlineExceeded, said)
            }
            None => (ErrorKind::Other, format!("{code:?}: {text}")),
        };
        let mut error = Self::new(kind, message);
        error.0.code = Some(code);
        error.0.violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
        error.0.retry_after = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
        if let Some(info) = info {
            (error.0.reason, error.0.metadata) = (Some(info.reason), info.metadata);
        }
        error
    }

    /// Whether asking again, with the same request id, may help.
    pub(crate) fn is_passing(&self) -> bool {
        let is_away = self.0.code == Some(Code::Unavailable) || self.0.kind == ErrorKind::NoAnswer;
        is_away || self.0.retry_after.is_some()
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What happened, in words for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The gRPC status. None: no call failed; the client found it by itself.
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
/// only the stream is reset, UNKNOWN or INTERNAL. The service itself always gives a reason.
fn is_cut(status: &Status) -> bool {
    let cut = matches!(status.code(), Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Internal);
    cut || status.source().is_some()
}

/// tonic's own words say little more than "transport error"; what happened stands in the causes.
fn with_causes(status: &Status) -> String {
    let mut words = status.message().to_owned();
    for cause in successors(status.source(), |&cause| cause.source()).map(ToString::to_string) {
        if !words.contains(&cause) {
            words = format!("{words}: {cause}");
        }
    }
    words
}
