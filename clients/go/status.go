package managedagents

import (
	"errors"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
)

const domain = "managedagents"

// failure is the error of a failed attempt: by the reason in its details, and by its code where there is none.
func (c *Client) failure(err error) *Error {
	said := status.Convert(err)
	if c.connection.GetState() == connectivity.Shutdown {
		return &Error{Code: said.Code(), Message: said.Message(), kind: ErrClosed}
	}
	failed := &Error{Code: said.Code(), Message: said.Message()}
	ours := failed.read(said.Details())
	failed.passes = failed.RetryAfter != nil || isCut(failed.Code)
	switch {
	case ours:
		failed.kind = byReason[failed.Reason]
	case isCut(failed.Code) && c.heard.Load():
		failed.kind = ErrNoAnswer
		failed.Message = fmt.Sprintf("no answer from the server at %s (%s)", c.address, said.Message())
	case isCut(failed.Code):
		failed.kind = ErrNoAnswer
		failed.Message = fmt.Sprintf("no server at %s (%s)", c.address, said.Message())
	case failed.Code == codes.Unimplemented:
		failed.kind = ErrNotThisService
		failed.Message = fmt.Sprintf("%s is no managed agents server, or an older one (%s)", c.address, said.Message())
	case failed.Code == codes.DeadlineExceeded:
		failed.kind = ErrDeadlineExceeded
		failed.Message = c.address + " did not answer in time; the call may have been applied"
	default:
		failed.Message = fmt.Sprintf("%s: %s", failed.Code, said.Message())
	}
	if !errors.Is(failed, ErrNoAnswer) && !errors.Is(failed, ErrDeadlineExceeded) {
		c.heard.Store(true)
	}
	return failed
}

// silence is the error of a stream that gave no status.
func (c *Client) silence(why string) *Error {
	return &Error{Code: codes.Unavailable, Message: c.address + ": " + why, kind: ErrNoAnswer, passes: true}
}

// read takes what the details say, and tells whether the reason is one of this service's.
func (e *Error) read(details []any) (ours bool) {
	for _, detail := range details {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.Domain == domain {
				ours, e.Reason, e.Metadata = true, detail.Reason, detail.Metadata
			}
		case *errdetails.BadRequest:
			e.Violations = detail.FieldViolations
		case *errdetails.RetryInfo:
			delay := detail.RetryDelay.AsDuration()
			e.RetryAfter = &delay
		}
	}
	return ours
}
