package managedagents_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"

	managedagents "github.com/managedagents/managedagents/clients/go"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// What ends a run, and what it answers, against a service that says where a turn stands.

var goOn = managedagents.UserMessage("go")

func message(seq uint64) *v1.StreamEventsResponse {
	return batchOf(&v1.SessionEvent{
		Seq: seq, Turn: 1, Payload: &v1.SessionEvent_UserMessage{UserMessage: &v1.UserMessage{}}})
}

func stands(result *v1.TurnResult, pending ...*v1.PendingAction) *v1.StreamEventsResponse {
	turn := &v1.StreamTurn{PendingActions: pending, Result: result}
	return &v1.StreamEventsResponse{Message: &v1.StreamEventsResponse_Turn{Turn: turn}}
}

func custom(useID string) *v1.PendingAction {
	kind := v1.PendingActionKind_PENDING_ACTION_KIND_CUSTOM_TOOL_RESULT
	return &v1.PendingAction{ToolUseId: useID, Kind: kind, Name: "ours", InputJson: "{}"}
}

func bash(useID string) *v1.PendingAction {
	kind := v1.PendingActionKind_PENDING_ACTION_KIND_TOOL_RESULT
	return &v1.PendingAction{ToolUseId: useID, Kind: kind, Name: "bash", RunsAtClient: true}
}

func asks(useID string) *v1.PendingAction {
	kind := v1.PendingActionKind_PENDING_ACTION_KIND_TOOL_CONFIRMATION
	return &v1.PendingAction{ToolUseId: useID, Kind: kind, Name: "bash", RunsAtClient: true}
}

// unknown is something that this version of the client does not know how to answer.
func unknown(useID string) *v1.PendingAction {
	return &v1.PendingAction{ToolUseId: useID, Kind: 99, Name: "ours"}
}

// over ends a turn.
func over(result *v1.TurnResult) []any {
	return []any{stands(result), endedBy(v1.StreamEndReason_STREAM_END_REASON_TURN_OVER, 9, true)}
}

var endTurn = over(&v1.TurnResult{StopReason: v1.TurnStopReason_TURN_STOP_REASON_END_TURN})

func requiresAction(useIDs ...string) *v1.TurnResult {
	return &v1.TurnResult{StopReason: v1.TurnStopReason_TURN_STOP_REASON_REQUIRES_ACTION, WaitsFor: useIDs}
}

// telltale is a session whose stream is these steps: a message of it, or the number of events that have to have been
// sent to the session by then, the one that a run begins with included.
func telltale(steps ...any) *fake {
	var mutex sync.Mutex
	sent, news := 0, make(chan struct{})
	take := func(context.Context, any) (any, error) {
		mutex.Lock()
		defer mutex.Unlock()
		sent++
		close(news)
		news = make(chan struct{})
		return &v1.SendEventResponse{Seq: 1}, nil
	}
	soFar := func() (int, <-chan struct{}) {
		mutex.Lock()
		defer mutex.Unlock()
		return sent, news
	}
	follow := func(_ *v1.StreamEventsRequest, stream sending) error {
		if err := stream.Send(opened(0)); err != nil {
			return err
		}
		for _, step := range steps {
			if message, isMessage := step.(*v1.StreamEventsResponse); isMessage {
				if err := stream.Send(message); err != nil {
					return err
				}
				continue
			}
			for count, more := soFar(); count < step.(int); count, more = soFar() {
				select {
				case <-more:
				case <-stream.Context().Done():
					return stream.Context().Err()
				}
			}
		}
		return nil
	}
	return &fake{calls: map[string]method{"SendEvent": take}, follow: follow}
}

// then is telltale with an end.
func then(end []any, steps ...any) *fake { return telltale(append(steps, end...)...) }

// answered gives what was sent after the message.
func answered(service *fake) (events []*v1.UserEvent) {
	for _, request := range asked[*v1.SendEventRequest](service) {
		if request.Event.GetUserMessage() == nil {
			events = append(events, request.Event)
		}
	}
	return events
}

func runs(t *testing.T, service *fake, options ...managedagents.RunOption) *managedagents.RunResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()
	result, err := faked(t, service).Run(ctx, "ses_1", goOn, options...)
	ok(t, err)
	return result
}

func withOurs(handler managedagents.Handler) managedagents.RunOption {
	return managedagents.WithTools(managedagents.Tools{"ours": handler})
}

func nothing(context.Context, json.RawMessage) (any, error) { return nil, nil }

func TestARunFollowsItsTurnAndEndsWithIt(t *testing.T) {
	for number, name := range map[int32]string{
		1: "end_turn", 5: "refusal", 11: "dropped", 12: "outcome_evaluated", 13: "completed", 15: "archived", 99: "",
	} {
		service := then(over(&v1.TurnResult{
			StopReason: v1.TurnStopReason(number), Text: "so", Usage: &v1.Usage{Requests: 2},
			Error: &v1.ErrorEvent{Message: "too bad"},
		}), message(1), message(3))
		result := runs(t, service)
		equal(t, result.Seq, 1)
		equal(t, result.StopReason, name)
		equal(t, result.Text, "so")
		equal(t, result.Usage.Requests, 2)
		equal(t, result.Error.Message, "too bad")
		equal(t, len(result.Events), 2)
		equal(t, result.Events[1].Seq, 3)
		followed := asked[*v1.StreamEventsRequest](service)[0]
		equal(t, followed.Turn, 1)
		equal(t, followed.FromSeq != nil && *followed.FromSeq == 0, true)
		equal(t, followed.IncludeDeltas, false)
	}
}

func TestARunEndsWithTheDeletionOfItsSession(t *testing.T) {
	deleted := endedBy(v1.StreamEndReason_STREAM_END_REASON_DELETED, 9, true)
	before := telltale()
	before.follow = func(*v1.StreamEventsRequest, sending) error { return refusal(codes.NotFound, "SESSION_NOT_FOUND") }
	for about, service := range map[string]*fake{
		"while it is followed":      telltale(message(1), stands(nil), deleted),
		"while it waits for us":     telltale(stands(requiresAction("use_2"), custom("use_2")), 2, deleted),
		"before it can be followed": before,
	} {
		if result := runs(t, service, withOurs(nothing)); result.StopReason != "deleted" || result.WaitsFor != nil {
			t.Errorf("deleted %s: %v", about, result)
		}
	}
}

func TestAUseThatWaitsForPermissionIsDecidedByConfirm(t *testing.T) {
	for _, decision := range []managedagents.Decision{{Allow: true}, {}, {DenyMessage: "not today"}} {
		asked := ""
		confirm := func(_ context.Context, action *v1.PendingAction) (managedagents.Decision, error) {
			asked = action.Name
			return decision, nil
		}
		service := then(endTurn, stands(nil, asks("use_2")), 2)
		equal(t, runs(t, service, managedagents.WithConfirm(confirm)).StopReason, "end_turn")
		equal(t, asked, "bash")
		told := answered(service)[0].GetUserToolConfirmation()
		equal(t, told.ToolUseId, "use_2")
		equal(t, told.Decision == v1.ToolConfirmation_TOOL_CONFIRMATION_ALLOW, decision.Allow)
		equal(t, told.DenyMessage, decision.DenyMessage)
	}
}

func TestAConfirmThatFailsEndsTheRun(t *testing.T) {
	mine := errors.New("mine")
	confirm := func(context.Context, *v1.PendingAction) (managedagents.Decision, error) {
		return managedagents.Decision{Allow: true}, mine
	}
	service := telltale(stands(nil, asks("use_2")), 9)
	_, err := faked(t, service).Run(t.Context(), "ses_1", goOn, managedagents.WithConfirm(confirm))
	equal(t, err, mine)
	equal(t, len(answered(service)), 0)
}

func TestAUseThatWasConfirmedIsThenAnswered(t *testing.T) {
	service := then(endTurn, stands(nil, asks("use_2")), 2, stands(nil, bash("use_2")), 3)
	runs(t, service, managedagents.WithConfirm(allow), managedagents.WithTools(managedagents.Tools{"bash": nothing}))
	told := answered(service)
	equal(t, told[0].GetUserToolConfirmation().GetToolUseId(), "use_2")
	equal(t, told[1].GetUserToolResult().GetToolUseId(), "use_2")
}

func TestATurnThatWaitsForWhatNobodyHereCanAnswerIsGivenBack(t *testing.T) {
	for _, pending := range []*v1.PendingAction{asks("use_2"), bash("use_2"), unknown("use_2")} {
		service := telltale(message(1), stands(requiresAction("use_2"), pending), 9)
		result := runs(t, service, withOurs(nothing))
		equal(t, result.StopReason, "requires_action")
		equal(t, slices.Equal(result.WaitsFor, []string{"use_2"}), true)
		equal(t, len(answered(service)), 0)
	}
}

func TestATurnThatWaitsForAHandlerOrADecisionHereIsNotGivenBack(t *testing.T) {
	for _, pending := range []*v1.PendingAction{custom("use_2"), asks("use_2")} {
		waited := make(chan struct{})
		handler := func(context.Context, json.RawMessage) (any, error) {
			<-waited
			return "late", nil
		}
		confirm := func(ctx context.Context, _ *v1.PendingAction) (managedagents.Decision, error) {
			<-waited
			return managedagents.Decision{}, nil
		}
		onEvent := func(*v1.SessionEvent) error {
			close(waited)
			return nil
		}
		service := then(endTurn, stands(nil, pending), stands(requiresAction("use_2"), pending), message(3), 2)
		result := runs(t, service, withOurs(handler), managedagents.WithConfirm(confirm), managedagents.OnEvent(onEvent))
		equal(t, result.StopReason, "end_turn")
		equal(t, len(answered(service)), 1)
	}
}

func TestAUseThatIsToldOfAgainIsDecidedAndAnsweredOnce(t *testing.T) {
	first := []*v1.PendingAction{asks("use_1"), custom("use_2")}
	service := then(endTurn, stands(nil, first...), 3, stands(nil, append(first, custom("use_3"))...), 4)
	var decided atomic.Int32
	confirm := func(ctx context.Context, action *v1.PendingAction) (managedagents.Decision, error) {
		decided.Add(1)
		return allow(ctx, action)
	}
	runs(t, service, withOurs(nothing), managedagents.WithConfirm(confirm))
	equal(t, decided.Load(), 1)
	ids := map[string]bool{}
	for _, event := range answered(service) {
		ids[event.GetUserCustomToolResult().GetCustomToolUseId()] = true
	}
	equal(t, fmt.Sprint(ids, len(answered(service))), "map[:true use_2:true use_3:true] 3")
}

func TestAUseWithoutAHandlerIsLeftToOthers(t *testing.T) {
	service := then(endTurn, stands(nil, bash("use_0")), stands(nil))
	runs(t, service, withOurs(nothing))
	equal(t, len(answered(service)), 0)
}

func TestWhatWaitsForAnAnswerOfAnUnknownKindIsLeftToOthers(t *testing.T) {
	var asked atomic.Int32
	ours := withOurs(func(context.Context, json.RawMessage) (any, error) {
		asked.Add(1)
		return nil, nil
	})
	confirm := managedagents.WithConfirm(func(context.Context, *v1.PendingAction) (managedagents.Decision, error) {
		asked.Add(1)
		return managedagents.Decision{}, nil
	})
	runs(t, then(endTurn, stands(nil, unknown("use_2"), custom("use_3")), 2), ours, confirm)
	equal(t, asked.Load(), 1)
}

func TestARunOfASessionThatIsNotThereFails(t *testing.T) {
	service := telltale()
	service.calls["SendEvent"] = refusing(refusal(codes.NotFound, "SESSION_NOT_FOUND"))
	_, err := faked(t, service).Run(t.Context(), "ses_1", goOn)
	equal(t, errors.Is(err, managedagents.ErrNotFound), true)
}

func TestWhatOnEventGivesReachesTheCaller(t *testing.T) {
	mine := errors.New("mine")
	onEvent := managedagents.OnEvent(func(*v1.SessionEvent) error { return mine })
	_, err := faked(t, telltale(message(1), 9)).Run(t.Context(), "ses_1", goOn, onEvent)
	equal(t, err, mine)
}

func TestTheRequestIDOfTheMessageMayBeTheCallers(t *testing.T) {
	service := then(endTurn)
	runs(t, service, managedagents.WithRequestID("mine"))
	equal(t, asked[*v1.SendEventRequest](service)[0].RequestId, "mine")
}

func TestATurnIsNotGivenBackForAUseThatOthersAnsweredSince(t *testing.T) {
	equal(t, runs(t, then(endTurn, message(1), stands(requiresAction("use_2")))).StopReason, "end_turn")
}
