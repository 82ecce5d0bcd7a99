package managedagents_test

import (
	"context"
	"encoding/json"
	"errors"
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

func TestAResultThatIsRefusedIsToldToTheModelAsAnError(t *testing.T) {
	service := telltale(message(), uses(1, "use_2"), nil, idle(1, endTurn))
	refusingAnswers(service, 1, refusal(codes.ResourceExhausted, "LIMIT_EXCEEDED"))
	runs(t, service, managedagents.WithTools(managedagents.Tools{"ours": nothing}))
	told := answered(service)[1].GetUserCustomToolResult()
	equal(t, told.IsError, true)
	equal(t, managedagents.TextOf(told.Content), "The tool ran, but its result was refused: refused")
}

func TestAnAnswerThatNobodyWaitsForAnyMoreIsNoFailure(t *testing.T) {
	for _, reason := range []string{"TOOL_USE_CLOSED", "SESSION_TERMINAL", "SESSION_NOT_FOUND"} {
		service := telltale(message(), uses(1, "use_2"), uses(1, "use_3"), nil, idle(1, endTurn))
		refusingAnswers(service, 1, refusal(codes.FailedPrecondition, reason))
		equal(t, runs(t, service, managedagents.WithTools(managedagents.Tools{"ours": nothing})).StopReason, "end_turn")
	}
}

func TestAnAnswerThatCouldNotBeSentIsSentByTheNextRunAndTheHandlerIsCalledOnce(t *testing.T) {
	service := telltale(message(), uses(1, "use_2"), nil, idle(1, endTurn))
	refusingAnswers(service, 1, refusal(codes.Internal, "INTERNAL"))
	client := faked(t, service)
	calls := 0
	tools := managedagents.WithTools(managedagents.Tools{"ours": func(context.Context, json.RawMessage) (any, error) {
		calls++
		return "once", nil
	}})
	_, err := client.Run(t.Context(), "ses_1", goOn, tools)
	equal(t, errors.Is(err, managedagents.ErrServerFault), true)
	result, err := client.Run(t.Context(), "ses_1", goOn, tools)
	ok(t, err)
	equal(t, result.StopReason, "end_turn")
	equal(t, calls, 1)
	sent := answered(service)
	equal(t, managedagents.TextOf(sent[len(sent)-1].GetUserCustomToolResult().Content), "once")
}

func TestToCancelTheContextStopsTheHandlersAndTheRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stopped := make(chan error, 1)
	handler := func(ctx context.Context, _ json.RawMessage) (any, error) {
		cancel()
		<-ctx.Done()
		stopped <- ctx.Err()
		return nil, ctx.Err()
	}
	tools := managedagents.WithTools(managedagents.Tools{"ours": handler})
	service := telltale(message(), uses(1, "use_2"))
	client := faked(t, service)
	_, err := client.Run(ctx, "ses_1", goOn, tools)
	equal(t, errors.Is(err, context.Canceled), true)
	equal(t, comes(t, stopped), context.Canceled)
	equal(t, len(answered(service)), 0)
}

func TestAHandlerThatDoesNotHeedItsContextHoldsNoRunUp(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	tools := managedagents.WithTools(managedagents.Tools{"ours": func(context.Context, json.RawMessage) (any, error) {
		close(begun)
		<-release
		return nil, nil
	}})
	service := telltale(message(), uses(1, "use_2"), nil, idle(1, endTurn))
	client := faked(t, service)
	running := beside(func() (*managedagents.RunResult, error) { return client.Run(t.Context(), "ses_1", goOn, tools) })
	comes(t, begun)
	_, err := client.SendEvent(t.Context(), hello)
	ok(t, err)
	ended := comes(t, running)
	ok(t, ended.err)
	equal(t, ended.value.StopReason, "end_turn")
}
