package managedagents_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	managedagents "github.com/managedagents/managedagents/clients/go"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// What ends a run, and what it answers, against a service that says what a session would say.

var goOn = managedagents.UserMessage("go")

func event(turn uint64, payload *v1.SessionEvent) *v1.SessionEvent {
	payload.Turn = turn
	return payload
}

func message() *v1.SessionEvent {
	return event(1, &v1.SessionEvent{Payload: &v1.SessionEvent_UserMessage{UserMessage: &v1.UserMessage{}}})
}

func idle(turn uint64, reason *v1.StopReason) *v1.SessionEvent {
	idle := &v1.StatusIdle{StopReason: reason, Usage: &v1.Usage{Requests: 1}}
	return event(turn, &v1.SessionEvent{Payload: &v1.SessionEvent_StatusIdle{StatusIdle: idle}})
}

var endTurn = &v1.StopReason{Reason: &v1.StopReason_EndTurn{EndTurn: &v1.EndTurn{}}}

func requiresAction(ids ...string) *v1.StopReason {
	return &v1.StopReason{Reason: &v1.StopReason_RequiresAction{RequiresAction: &v1.RequiresAction{Ids: ids}}}
}

func agentSays(turn uint64, responseID, words string) *v1.SessionEvent {
	says := &v1.AgentMessage{Content: []*v1.Content{managedagents.Text(words)}}
	return event(turn, &v1.SessionEvent{
		ResponseId: responseID, Payload: &v1.SessionEvent_AgentMessage{AgentMessage: says}})
}

func asks(turn uint64, useID string) *v1.SessionEvent {
	use := &v1.AgentToolUse{
		ToolUseId: useID, Name: "bash", Permission: v1.PermissionDecision_PERMISSION_DECISION_ASK}
	return event(turn, &v1.SessionEvent{Payload: &v1.SessionEvent_AgentToolUse{AgentToolUse: use}})
}

func uses(turn uint64, useID string) *v1.SessionEvent {
	use := &v1.AgentCustomToolUse{CustomToolUseId: useID, Name: "ours", InputJson: "{}"}
	return event(turn, &v1.SessionEvent{Payload: &v1.SessionEvent_AgentCustomToolUse{AgentCustomToolUse: use}})
}

func confirmed(useID string) *v1.SessionEvent {
	allowed := &v1.UserToolConfirmation{
		ToolUseId: useID, Decision: v1.ToolConfirmation_TOOL_CONFIRMATION_ALLOW}
	return event(0, &v1.SessionEvent{
		Payload: &v1.SessionEvent_UserToolConfirmation{UserToolConfirmation: allowed}})
}

// telltale is a session whose log is these events; the first is what is sent. What stands after a nil follows when one
// more event was sent.
func telltale(events ...*v1.SessionEvent) *fake {
	sends := make(chan struct{}, 100)
	take := func(context.Context, any) (any, error) {
		sends <- struct{}{}
		return &v1.SendEventResponse{Seq: 1}, nil
	}
	follow := func(_ *v1.StreamEventsRequest, stream sending) error {
		<-sends // The message itself.
		messages := []*v1.StreamEventsResponse{opened(0)}
		seq := uint64(0)
		for _, event := range events {
			if event != nil {
				seq++
				event.Seq = seq
				messages = append(messages, batchOf(event))
				continue
			}
			if err := send(stream, messages...); err != nil {
				return err
			}
			messages = nil
			select {
			case <-sends:
			case <-stream.Context().Done():
				return stream.Context().Err()
			}
		}
		if err := send(stream, messages...); err != nil {
			return err
		}
		<-stream.Context().Done()
		return nil
	}
	return &fake{calls: map[string]method{"SendEvent": take, "Status": always(&v1.StatusResponse{})}, follow: follow}
}

// answered gives what was sent after the message.
func answered(service *fake) (events []*v1.UserEvent) {
	for _, request := range asked[*v1.SendEventRequest](service)[1:] {
		events = append(events, request.Event)
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

func TestARunEndsWithItsTurn(t *testing.T) {
	failed := &v1.SessionEvent{Payload: &v1.SessionEvent_StatusFailed{StatusFailed: &v1.StatusFailed{}}}
	archived := &v1.SessionEvent{Payload: &v1.SessionEvent_StatusArchived{StatusArchived: &v1.StatusArchived{}}}
	refused := &v1.StopReason{Reason: &v1.StopReason_Refusal{Refusal: &v1.Refusal{}}}
	interrupted := &v1.Interrupted{DroppedSeqs: []uint64{1}}
	dropped := &v1.StopReason{Reason: &v1.StopReason_Interrupted{Interrupted: interrupted}}
	for reason, events := range map[string][]*v1.SessionEvent{
		"end_turn":          {message(), idle(1, endTurn)},
		"refusal":           {message(), idle(9, endTurn), idle(1, refused)},
		"dropped":           {message(), idle(9, dropped)},
		"outcome_evaluated": {message(), judged(1, false)},
		"failed":            {message(), failed},
		"archived":          {message(), archived},
	} {
		equal(t, runs(t, telltale(events...)).StopReason, reason)
	}
}

func TestARunGivesTheLastWordsTheUsageAndTheEventsOfItsTurn(t *testing.T) {
	result := runs(t, telltale(message(), agentSays(1, "rsp_1", "first"), agentSays(9, "rsp_9", "another turn's"),
		agentSays(1, "rsp_2", "la"), agentSays(1, "rsp_2", "st"), idle(1, endTurn)))
	equal(t, result.Seq, 1)
	equal(t, result.Text, "last")
	equal(t, result.Usage.Requests, 1)
	equal(t, len(result.Events), 5)
}

func TestAUseThatWaitsForPermissionIsDecidedByConfirm(t *testing.T) {
	for _, decision := range []managedagents.Decision{{Allow: true}, {}, {DenyMessage: "not today"}} {
		asked := ""
		confirm := func(_ context.Context, use managedagents.ToolUse) (managedagents.Decision, error) {
			asked = use.Name
			return decision, nil
		}
		service := telltale(message(), asks(1, "use_2"), nil, idle(1, endTurn))
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
	confirm := func(context.Context, managedagents.ToolUse) (managedagents.Decision, error) {
		return managedagents.Decision{Allow: true}, mine
	}
	service := telltale(message(), asks(1, "use_2"))
	_, err := faked(t, service).Run(t.Context(), "ses_1", goOn, managedagents.WithConfirm(confirm))
	equal(t, err, mine)
	equal(t, len(answered(service)), 0)
}

func TestATurnThatWaitsForWhatNobodyHereCanAnswerIsGivenBack(t *testing.T) {
	result := runs(t, telltale(message(), asks(1, "use_2"), idle(1, requiresAction("use_2"))))
	equal(t, result.StopReason, "requires_action")
	equal(t, slices.Equal(result.WaitsFor, []string{"use_2"}), true)
}

func TestAUseWithoutAHandlerIsLeftOpenAndTheTurnIsGivenBack(t *testing.T) {
	service := telltale(message(), uses(1, "use_2"), idle(1, requiresAction("use_2")))
	result := runs(t, service, managedagents.WithTools(managedagents.Tools{"another": nothing}))
	equal(t, result.StopReason, "requires_action")
	equal(t, slices.Equal(result.WaitsFor, []string{"use_2"}), true)
	equal(t, len(answered(service)), 0)
}

func nothing(context.Context, json.RawMessage) (any, error) { return nil, nil }

func TestASessionThatIsDeletedBeforeTheRunCouldFollowItHasEnded(t *testing.T) {
	notFound := refusal(codes.NotFound, "SESSION_NOT_FOUND")
	service := telltale()
	service.calls["Status"] = refusing(notFound)
	service.follow = func(*v1.StreamEventsRequest, sending) error { return notFound }
	equal(t, runs(t, service).StopReason, "deleted")
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
	_, err := faked(t, telltale(message())).Run(t.Context(), "ses_1", goOn, onEvent)
	equal(t, err, mine)
}

func TestAnErrorThatTheTurnGoesOnFromIsNotTheRuns(t *testing.T) {
	for next, isTold := range map[v1.ErrorNext]bool{
		v1.ErrorNext_ERROR_NEXT_TURN_ENDS: true, v1.ErrorNext_ERROR_NEXT_TURN_GOES_ON: false,
	} {
		failed := event(1, &v1.SessionEvent{Payload: &v1.SessionEvent_Error{Error: &v1.ErrorEvent{Next: next}}})
		result := runs(t, telltale(message(), failed, idle(1, endTurn)))
		equal(t, result.Error != nil, isTold)
		equal(t, len(result.Events), 3)
	}
}

func TestTheRequestIDOfTheMessageMayBeTheCallers(t *testing.T) {
	service := telltale(message(), idle(1, endTurn))
	runs(t, service, managedagents.WithRequestID("mine"))
	equal(t, asked[*v1.SendEventRequest](service)[0].RequestId, "mine")
}
