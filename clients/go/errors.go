package managedagents

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What a call gives is one of these by errors.Is. Which one follows from the reason that the server gave (ErrorReason
// in the protos), never from a text. A failed model or tool is none: it is an event in the session's log.
var (
	// ErrInvalidRequest: the request is wrong; Violations name each bad field. Asking again does not help.
	ErrInvalidRequest = errors.New("invalid request")
	// ErrNotImplemented: a part that this server does not have yet; Metadata["field"] names it.
	ErrNotImplemented = errors.New("not implemented by this server")
	// ErrNotFound: no such agent, session or tool use, or another tenant's.
	ErrNotFound = errors.New("not found")
	// ErrToolUseClosed: somebody was faster, or the turn was interrupted. Benign: go on.
	ErrToolUseClosed = errors.New("tool use closed")
	// ErrSessionTerminal: the session is completed, failed or archived, as Metadata["status"] says; only reads and a
	// deletion work.
	ErrSessionTerminal = errors.New("session terminal")
	// ErrAgentArchived: the agent is archived and takes no new sessions.
	ErrAgentArchived = errors.New("agent archived")
	// ErrVersionConflict: the agent was changed since the version that the update names: read it and decide again.
	ErrVersionConflict = errors.New("version conflict")
	// ErrRequestIDReused: the request id was used with another request.
	ErrRequestIDReused = errors.New("request id reused")
	// ErrFromSeqBeyondHead: the seq to go on from is beyond the log's head, which Metadata["head_seq"] gives.
	ErrFromSeqBeyondHead = errors.New("from_seq beyond the head")
	// ErrLogReplaced: a backup was restored: the seqs known here mean nothing any more. Read the session anew from 0.
	ErrLogReplaced = errors.New("log replaced")
	// ErrLimitExceeded: a limit is reached; Metadata["limit"] names it, Metadata["value"] gives it.
	ErrLimitExceeded = errors.New("limit exceeded")
	// ErrProviderUnusable: the model's provider cannot be used as the definition asks.
	ErrProviderUnusable = errors.New("provider unusable")
	// ErrToolUnusable: a tool of the definition cannot be used at this server.
	ErrToolUnusable = errors.New("tool unusable")
	// ErrOutcomeActive: the session has an outcome, Metadata["seq"], that is not over yet: wait for its end, or interrupt
	// it.
	ErrOutcomeActive = errors.New("outcome active")
	// ErrUnauthenticated: no token, or one that the server does not know.
	ErrUnauthenticated = errors.New("unauthenticated")
	// ErrEventUnreadable: an event of the log, which Metadata["seq"] names, cannot be read: go on after it.
	ErrEventUnreadable = errors.New("event unreadable")
	// ErrServerFault: a fault of the server; its own log tells more under Metadata["error_id"].
	ErrServerFault = errors.New("fault of the server")
	// ErrUnavailable: the server is there and cannot do it now: it shuts down, or its log cannot be written.
	ErrUnavailable = errors.New("unavailable")
	// ErrNoAnswer: no server answered in the time that the client has patience for; an ErrUnavailable, too. A changing
	// call may have been applied.
	ErrNoAnswer = fmt.Errorf("no answer: %w", ErrUnavailable)
	// ErrDeadlineExceeded: the server did not answer in time; a context.DeadlineExceeded, too. A changing call may have
	// been applied.
	ErrDeadlineExceeded = fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	// ErrNotThisService: something speaks gRPC at this address, and it is not this service, or an older version of it.
	ErrNotThisService = errors.New("not this service")
	// ErrClosed: the client was closed.
	ErrClosed = errors.New("the client is closed")
	// ErrPromiseBroken: a stream gave what it never gives, say a hole between two seqs: a fault of the server or of
	// something between.
	ErrPromiseBroken = errors.New("promise broken")
)

var byReason = map[string]error{
	"INVALID_REQUEST":      ErrInvalidRequest,
	"MALFORMED_REQUEST":    ErrInvalidRequest,
	"INVALID_PAGE_TOKEN":   ErrInvalidRequest,
	"NOT_IMPLEMENTED":      ErrNotImplemented,
	"AGENT_NOT_FOUND":      ErrNotFound,
	"SESSION_NOT_FOUND":    ErrNotFound,
	"TOOL_USE_NOT_FOUND":   ErrNotFound,
	"TOOL_USE_CLOSED":      ErrToolUseClosed,
	"SESSION_TERMINAL":     ErrSessionTerminal,
	"AGENT_ARCHIVED":       ErrAgentArchived,
	"VERSION_CONFLICT":     ErrVersionConflict,
	"REQUEST_ID_REUSED":    ErrRequestIDReused,
	"FROM_SEQ_BEYOND_HEAD": ErrFromSeqBeyondHead,
	"LOG_REPLACED":         ErrLogReplaced,
	"LIMIT_EXCEEDED":       ErrLimitExceeded,
	"PROVIDER_UNUSABLE":    ErrProviderUnusable,
	"TOOL_UNUSABLE":        ErrToolUnusable,
	"OUTCOME_ACTIVE":       ErrOutcomeActive,
	"UNAUTHENTICATED":      ErrUnauthenticated,
	"EVENT_UNREADABLE":     ErrEventUnreadable,
	"INTERNAL":             ErrServerFault,
	"LOG_UNAVAILABLE":      ErrUnavailable,
	"DRAINING":             ErrUnavailable,
	"DEADLINE_EXCEEDED":    ErrDeadlineExceeded,
}

// Error is a call that failed.
type Error struct {
	// Code is the gRPC status code. OK: it was no call that failed, but what a stream gave.
	Code codes.Code
	// Reason is the name in ErrorReason without its prefix, say SESSION_NOT_FOUND. Empty: the server gave none.
	Reason string
	// Message is for people.
	Message string
	// Violations are the bad fields of a refused request: each its path from the request down, and why.
	Violations []*errdetails.BadRequest_FieldViolation
	// RetryAfter is the time after which asking again may help. Nil: the server did not say that waiting helps.
	RetryAfter *time.Duration
	// Metadata is what the server says beside the reason, say limit and value.
	Metadata map[string]string

	kind error
	// Asking again, with the same request id, may help.
	passes bool
}

// Error says the reason, or else the code, and the message.
func (e *Error) Error() string {
	if e.Reason != "" {
		return e.Reason + ": " + e.Message
	}
	return e.Message
}

// Unwrap gives one of this package's errors, for errors.Is. Nil: a reason that this version of the client does not
// know.
func (e *Error) Unwrap() error {
	return e.kind
}

// GRPCStatus is the status for those who ask by status.Code or status.FromError.
func (e *Error) GRPCStatus() *status.Status {
	return status.New(e.Code, e.Message)
}

// What a cut connection looks like. A server that stops, or a proxy, ends a call with Canceled; whether it was the
// caller is asked of the context.
func isCut(code codes.Code) bool {
	return code == codes.Unavailable || code == codes.Canceled
}
