package managedagents_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	managedagents "github.com/managedagents/managedagents/clients/go"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// failing asks once, and gives what a call that fails so gives.
func failing(t *testing.T, failure error) *managedagents.Error {
	t.Helper()
	service := &fake{calls: map[string]method{"Status": refusing(failure)}}
	_, err := faked(t, service, managedagents.WithPatience(0)).Status(t.Context(), &v1.StatusRequest{})
	var failed *managedagents.Error
	if !errors.As(err, &failed) {
		t.Fatalf("%v is no Error", err)
	}
	return failed
}

func TestEveryReasonOfTheProtosHasAnErrorOfItsOwnKind(t *testing.T) {
	for number, name := range v1.ErrorReason_name {
		if number == 0 {
			continue
		}
		reason := strings.TrimPrefix(name, "ERROR_REASON_")
		failed := failing(t, refusal(codes.FailedPrecondition, reason))
		equal(t, failed.Reason, reason)
		if failed.Unwrap() == nil {
			t.Errorf("%s is none of the package's errors", reason)
		}
	}
}

func TestAnErrorCarriesAllThatTheServerSays(t *testing.T) {
	violation := &errdetails.BadRequest_FieldViolation{Field: "definition.name", Description: "is required"}
	bad := &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{violation}}
	failed := failing(t, refusal(codes.InvalidArgument, "INVALID_REQUEST", bad, retryAfter(time.Second)))
	equal(t, errors.Is(failed, managedagents.ErrInvalidRequest), true)
	equal(t, failed.Code, codes.InvalidArgument)
	equal(t, failed.Message, "refused")
	equal(t, failed.Metadata["key"], "value")
	equal(t, *failed.RetryAfter, time.Second)
	equal(t, failed.Violations[0].Field, "definition.name")
	equal(t, failed.Violations[0].Description, "is required")
	equal(t, failed.Error(), "INVALID_REQUEST: refused")
	equal(t, status.Code(failed), codes.InvalidArgument)
}

func TestAReasonThatIsNotKnownHereIsKeptAndOfNoKind(t *testing.T) {
	failed := failing(t, refusal(codes.FailedPrecondition, "NEW_REASON"))
	equal(t, failed.Reason, "NEW_REASON")
	equal(t, failed.Unwrap(), nil)
}

func TestAReasonOfAnotherDomainIsNotThisServices(t *testing.T) {
	info := &errdetails.ErrorInfo{Reason: "SESSION_NOT_FOUND", Domain: "elsewhere"}
	failed := failing(t, refusal(codes.NotFound, "", info))
	equal(t, failed.Reason, "")
	equal(t, errors.Is(failed, managedagents.ErrNotFound), false)
	equal(t, failed.Error(), "NotFound: refused")
}

func TestADeadlineIsAContextsDeadlineToo(t *testing.T) {
	failed := failing(t, refusal(codes.DeadlineExceeded, "DEADLINE_EXCEEDED"))
	equal(t, errors.Is(failed, context.DeadlineExceeded), true)
	failed = failing(t, refusal(codes.DeadlineExceeded, ""))
	equal(t, errors.Is(failed, managedagents.ErrDeadlineExceeded), true)
}
