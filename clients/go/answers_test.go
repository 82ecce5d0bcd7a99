package managedagents_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"

	managedagents "github.com/managedagents/managedagents/clients/go"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// How the answers of a run are sent, and what stops its handlers.

// refusingAnswers takes the message, and refuses so many answers.
func refusingAnswers(service *fake, times int, refused error) {
	accept := service.calls["SendEvent"]
	var mutex sync.Mutex
	service.calls["SendEvent"] = func(ctx context.Context, request any) (any, error) {
		mutex.Lock()
		defer mutex.Unlock()
		if request.(*v1.SendEventRequest).Event.GetUserMessage() == nil && times > 0 {
			times--
			return nil, refused
		}
		return accept(ctx, request)
	}
}

// results are the texts of the results that were sent.
func results(service *fake) (texts []string) {
	for _, event := range answered(service) {
		texts = append(texts, managedagents.TextOf(event.GetUserCustomToolResult().GetContent()))
	}
	return texts
}

func TestAResultThatIsRefusedIsToldToTheModelAsAnError(t *testing.T) {
	service := then(endTurn, stands(nil, custom("use_2")), 2)
	refusingAnswers(service, 1, refusal(codes.ResourceExhausted, "LIMIT_EXCEEDED"))
	runs(t, service, withOurs(nothing))
	equal(t, answered(service)[1].GetUserCustomToolResult().IsError, true)
	equal(t, results(service)[1], "The tool ran, but its result was refused: refused")
}

// tooLate passes on why answers came too late, which only the log says.
type tooLate struct {
	slog.Handler
	why chan<- error
}

func (tooLate) Enabled(context.Context, slog.Level) bool { return true }

func (l tooLate) Handle(_ context.Context, record slog.Record) error {
	record.Attrs(func(attribute slog.Attr) bool {
		if why, isError := attribute.Value.Any().(error); isError {
			l.why <- why
		}
		return true
	})
	return nil
}

func TestAnAnswerThatNobodyWaitsForAnyMoreIsNoFailure(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	for reason, kind := range map[string]error{
		"TOOL_USE_CLOSED":   managedagents.ErrToolUseClosed,
		"SESSION_TERMINAL":  managedagents.ErrSessionTerminal,
		"SESSION_NOT_FOUND": managedagents.ErrNotFound,
	} {
		why := make(chan error, 1)
		slog.SetDefault(slog.New(tooLate{before.Handler(), why}))
		service := then(endTurn, stands(nil, custom("use_2")), message(2))
		refusingAnswers(service, 1, refusal(codes.FailedPrecondition, reason))
		wasTooLate := managedagents.OnEvent(func(*v1.SessionEvent) error {
			equal(t, errors.Is(comes(t, why), kind), true)
			return nil
		})
		equal(t, runs(t, service, withOurs(nothing), wasTooLate).StopReason, "end_turn")
	}
}

func TestAnAnswerThatCouldNotBeSentIsSentByTheNextRunAndTheHandlerIsCalledOnce(t *testing.T) {
	service := then(endTurn, stands(nil, custom("use_2")), 3)
	refusingAnswers(service, 1, refusal(codes.Internal, "INTERNAL"))
	client := faked(t, service)
	calls := 0
	ours := withOurs(func(context.Context, json.RawMessage) (any, error) {
		calls++
		return "once", nil
	})
	_, err := client.Run(t.Context(), "ses_1", goOn, ours)
	equal(t, errors.Is(err, managedagents.ErrServerFault), true)
	result, err := client.Run(t.Context(), "ses_1", goOn, ours)
	ok(t, err)
	equal(t, result.StopReason, "end_turn")
	equal(t, calls, 1)
	equal(t, results(service)[1], "once")
}

func TestTwoRunsThatMeetAUseAtOnceCallItsHandlerOnce(t *testing.T) {
	service := then(endTurn, 2, stands(nil, custom("use_0")), 3)
	client := faked(t, service)
	calls := make(chan struct{}, 10)
	ours := withOurs(func(context.Context, json.RawMessage) (any, error) {
		calls <- struct{}{}
		return nil, nil
	})
	run := func() (*managedagents.RunResult, error) { return client.Run(t.Context(), "ses_1", goOn, ours) }
	for _, running := range []<-chan outcome[*managedagents.RunResult]{beside(run), beside(run)} {
		ok(t, comes(t, running).err)
	}
	equal(t, len(calls), 1)
}

func TestAHandlerIsStoppedWhenNobodyWaitsForItAnyMore(t *testing.T) {
	for about, end := range map[string][]any{
		"its use is closed": append([]any{stands(nil), message(3)}, endTurn...),
		"its turn is over":  endTurn,
		"its session is deleted": {
			stands(requiresAction("use_0"), custom("use_0")), endedBy(v1.StreamEndReason_STREAM_END_REASON_DELETED, 9, true)},
	} {
		t.Run(about, func(t *testing.T) {
			begun, stopped, why := make(chan struct{}), make(chan struct{}), error(nil)
			ours := withOurs(func(ctx context.Context, _ json.RawMessage) (any, error) {
				close(begun)
				<-ctx.Done()
				why = ctx.Err()
				close(stopped)
				return nil, why
			})
			onEvent := managedagents.OnEvent(func(event *v1.SessionEvent) error {
				if event.Seq == 2 {
					comes(t, begun)
				} else {
					comes(t, stopped)
				}
				return nil
			})
			service := then(end, stands(nil, custom("use_0")), message(2))
			runs(t, service, ours, onEvent)
			comes(t, stopped)
			equal(t, why, context.Canceled)
			equal(t, len(answered(service)), 0)
		})
	}
}

func TestToCancelTheContextStopsTheHandlerAndTheNextRunTellsTheModel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	calls, stopped := make(chan struct{}, 10), make(chan error, 1)
	ours := withOurs(func(ctx context.Context, _ json.RawMessage) (any, error) {
		calls <- struct{}{}
		cancel()
		<-ctx.Done()
		stopped <- ctx.Err()
		return nil, ctx.Err()
	})
	service := then(endTurn, stands(nil, custom("use_2")), 3)
	client := faked(t, service)
	_, err := client.Run(ctx, "ses_1", goOn, ours)
	equal(t, errors.Is(err, context.Canceled), true)
	equal(t, comes(t, stopped), context.Canceled)
	equal(t, len(answered(service)), 0)
	_, err = client.Run(t.Context(), "ses_1", goOn, ours)
	ok(t, err)
	equal(t, len(calls), 1)
	equal(t, results(service)[0], "The tool was stopped before it was done; what it did is not known.")
}

func TestAHandlerThatDoesNotHeedItsContextHoldsNoRunUp(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	ours := withOurs(func(context.Context, json.RawMessage) (any, error) {
		close(begun)
		<-release
		return nil, nil
	})
	service := then(endTurn, stands(nil, custom("use_2")), 2)
	client := faked(t, service)
	running := beside(func() (*managedagents.RunResult, error) { return client.Run(t.Context(), "ses_1", goOn, ours) })
	comes(t, begun)
	_, err := client.SendEvent(t.Context(), hello)
	ok(t, err)
	ended := comes(t, running)
	ok(t, ended.err)
	equal(t, ended.value.StopReason, "end_turn")
}
