package managedagents

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
)

// What a call gives is one of these by errors.Is. Which one follows from the reason that the server gave (ErrorReason
// in the protos), never from a text. A failed model or tool is none: it is an event in the session's log.
var (
	// ErrInvalidRequest: the request is wrong; Violations name each bad field. Asking again does not help.
	ErrInvalidRequest = kind(errors.New("invalid request"), "INVALID_REQUEST", "MALFORMED_REQUEST", "INVALID_PAGE_TOKEN")
	// ErrNotImplemented: a part that this server does not have yet; Metadata["field"] names it.
	ErrNotImplemented = kind(errors.New("not implemented by this server"), "NOT_IMPLEMENTED")
	// ErrNotFound: no such agent, session or tool use, or another tenant's.
	ErrNotFound = kind(errors.New("not found"), "AGENT_NOT_FOUND", "SESSION_NOT_FOUND", "TOOL_USE_NOT_FOUND")
	// ErrToolUseClosed: somebody was faster, or the turn was interrupted. Benign: go on.
	ErrToolUseClosed = kind(errors.New("tool use closed"), "TOOL_USE_CLOSED")
	// ErrSessionTerminal: the session is completed, failed or archived, as Metadata["status"] says; only reads and a
	// deletion work.
	ErrSessionTerminal = kind(errors.New("session terminal"), "SESSION_TERMINAL")
	// ErrAgentArchived: the agent is archived and takes no new sessions.
	ErrAgentArchived = kind(errors.New("agent archived"), "AGENT_ARCHIVED")
	// ErrVersionConflict: the agent was changed since the version that the update names: read it and decide again.
	ErrVersionConflict = kind(errors.New("version conflict"), "VERSION_CONFLICT")
	// ErrRequestIDReused: the request id was used with another request.
	ErrRequestIDReused = kind(errors.New("request id reused"), "REQUEST_ID_REUSED")
	// ErrFromSeqBeyondHead: the seq to go on from is beyond the log's head, which Metadata["head_seq"] gives.
	ErrFromSeqBeyondHead = kind(errors.New("from_seq beyond the head"), "FROM_SEQ_BEYOND_HEAD")
	// ErrLogReplaced: a backup was restored: the seqs known here mean nothing any more. Read the session anew from 0.
	ErrLogReplaced = kind(errors.New("log replaced"), "LOG_REPLACED")
	// ErrLimitExceeded: a limit is reached; Metadata["limit"] names it, Metadata["value"] gives it.
	ErrLimitExceeded = kind(errors.New("limit exceeded"), "LIMIT_EXCEEDED")
	// ErrProviderUnusable: the model's provider cannot be used as the definition asks.
	ErrProviderUnusable = kind(errors.New("provider unusable"), "PROVIDER_UNUSABLE")
	// ErrToolUnusable: a tool of the definition cannot be used at this server.
	ErrToolUnusable = kind(errors.New("tool unusable"), "TOOL_UNUSABLE")
	// ErrOutcomeActive: the session has an outcome, Metadata["seq"], that is not over yet: wait for its end, or interrupt
	// it.
	ErrOutcomeActive = kind(errors.New("outcome active"), "OUTCOME_ACTIVE")
	// ErrUnauthenticated: no token, or one that the server does not know.
	ErrUnauthenticated = kind(errors.New("unauthenticated"), "UNAUTHENTICATED")
	// ErrEventUnreadable: an event of the log, which Metadata["seq"] names, cannot be read: go on after it.
	ErrEventUnreadable = kind(errors.New("event unreadable"), "EVENT_UNREADABLE")
	// ErrServerFault: a fault of the server; its own log tells more under Metadata["error_id"].
	ErrServerFault = kind(errors.New("fault of the server"), "INTERNAL")
	// ErrUnavailable: the server is there and cannot do it now: it shuts down, or its log cannot be written.
	ErrUnavailable = kind(errors.New("unavailable"), "LOG_UNAVAILABLE", "DRAINING")
	// ErrNoAnswer: no server answered in the time that the client has patience for; an ErrUnavailable, too. A changing
	// call may have been applied.
	ErrNoAnswer = fmt.Errorf("no answer: %w", ErrUnavailable)
	// ErrDeadlineExceeded: the server did not answer in time; a context.DeadlineExceeded, too. A changing call may have
	// been applied.
	ErrDeadlineExceeded = kind(fmt.Errorf("no answer in time: %w", context.DeadlineExceeded), "DEADLINE_EXCEEDED")
	// ErrNotThisService: something speaks gRPC at this address, and it is not this service, or an older version of it.
	ErrNotThisService = errors.New("not this service")
	// ErrClosed: the client was closed.
	ErrClosed = errors.New("the client is closed")
	// ErrPromiseBroken: a stream gave what it never gives, say a hole between two seqs: a fault of the server or of
	// something between.
	ErrPromiseBroken = errors.New("promise broken")
)

var byReason = map[string]error{}

// kind notes which reasons of the server an error stands for.
func kind(err error, reasons ...string) error {
	for _, reason := range reasons {
		byReason[reason] = err
	}
	return err
}

// Error is a call that failed.
type Error struct {
	// Code is the gRPC status code. DataLoss also where a stream gave what it never gives.
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
	return cmp.Or(e.Reason, e.Code.String()) + ": " + e.Message
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

// failure is the error of a failed attempt: by the reason in its details, and by its code where there is none.
func (c *Client) failure(err error) *Error {
	said := status.Convert(err)
	e := &Error{Code: said.Code(), Message: said.Message()}
	for _, detail := range said.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.Domain == "managedagents" {
				e.Reason, e.Metadata, e.kind = detail.Reason, detail.Metadata, byReason[detail.Reason]
			}
		case *errdetails.BadRequest:
			e.Violations = detail.FieldViolations
		case *errdetails.RetryInfo:
			delay := detail.RetryDelay.AsDuration()
			e.RetryAfter = &delay
		}
	}
	// What a cut connection looks like, where it is none of the service's own reasons. A server that stops, or a proxy,
	// ends a call with Canceled (whether it was the caller is asked of the context); a proxy that resets a stream in its
	// middle, with Internal.
	isReset := e.Code == codes.Canceled || e.Code == codes.Internal
	isCut := e.Reason == "" && (e.Code == codes.Unavailable || isReset)
	e.passes = e.RetryAfter != nil || e.Code == codes.Unavailable || isCut
	address := c.connection.Target()
	switch {
	case c.connection.GetState() == connectivity.Shutdown:
		e.kind, e.passes = ErrClosed, false
	case e.Reason != "":
		c.heard.Store(true)
	case isCut && c.heard.Load():
		e.kind, e.Message = ErrNoAnswer, fmt.Sprintf("no answer from the server at %s (%s)", address, e.Message)
	case isCut:
		e.kind, e.Message = ErrNoAnswer, fmt.Sprintf("no server at %s (%s)", address, e.Message)
	case e.Code == codes.Unimplemented:
		e.kind = ErrNotThisService
		e.Message = fmt.Sprintf("%s is no managed agents server, or an older one (%s)", address, e.Message)
	case e.Code == codes.DeadlineExceeded:
		e.kind, e.Message = ErrDeadlineExceeded, address+" did not answer in time; the call may have been applied"
	}
	return e
}

// silence is the error of a stream that gave no status.
func (c *Client) silence(why string) *Error {
	return &Error{Code: codes.Unavailable, Message: c.connection.Target() + ": " + why, kind: ErrNoAnswer, passes: true}
}
