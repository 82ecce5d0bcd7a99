package managedagents

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"

	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// turn is one message's turn (or an outcome's turns), from its seq to its end. Its fields belong to the goroutine that
// follows; the others send answers.
type turn struct {
	client    *Client
	sessionID string
	requestID string
	tools     Tools
	confirm   func(context.Context, ToolUse) (Decision, error)
	onEvent   func(*v1.SessionEvent) error

	group *errgroup.Group
	// The group's: over with the run.
	ctx       context.Context
	result    RunResult
	turns     []uint64
	isOutcome bool
	// The outcome's first turn has begun.
	isTowards bool
	saidIn    string
	toConfirm map[string]ToolUse
	atWork    map[string]context.CancelFunc
}

func (t *turn) follow() error {
	// What is still at work at the end answers a use that the end of the turn has closed.
	defer func() {
		for _, cancel := range t.atWork {
			cancel()
		}
	}()
	if err := t.answerEarlier(); err != nil {
		return err
	}
	follow := t.client.Follow(t.sessionID, t.result.Seq-1)
	for event, err := range follow.Events(t.ctx) {
		if errors.Is(err, ErrNotFound) {
			// It took our message, so it was deleted.
			t.result.StopReason = "deleted"
			return nil
		}
		if err != nil {
			return err
		}
		if isOver, err := t.take(event); isOver || err != nil {
			return err
		}
	}
	name := follow.Ended().GetReason().String()
	t.result.StopReason = strings.ToLower(strings.TrimPrefix(name, "STREAM_END_REASON_"))
	return nil
}

func (t *turn) take(event *v1.SessionEvent) (isOver bool, err error) {
	// What a message's turn within the outcome led to is judged for the outcome.
	ours := slices.Contains(t.turns, event.Turn) || t.isTowards && event.GetOutcomeEvaluated() != nil
	t.settle(event)
	if use, isUse := UseOf(event); isUse {
		t.look(use)
	}
	if ours {
		if err := t.keep(event); err != nil {
			return false, err
		}
	}
	return t.isOver(event, ours), nil
}

// answerEarlier answers what an earlier turn waits for: it keeps ours from beginning. Uses of our own are met again in
// the stream.
func (t *turn) answerEarlier() error {
	status, err := t.client.Status(t.ctx, &v1.StatusRequest{SessionId: t.sessionID})
	if errors.Is(err, ErrNotFound) {
		// Deleted after it took our message; following it tells the same.
		return nil
	}
	if err != nil {
		return err
	}
	for _, action := range status.PendingActions {
		if action.Seq < t.result.Seq {
			t.look(UseThatWaits(action))
		}
	}
	return nil
}

// look begins to answer a use, where there is somebody here to answer it. What nobody answers stays open for others.
func (t *turn) look(use ToolUse) {
	switch {
	case use.NeedsConfirmation:
		t.toConfirm[use.ID] = use
		if t.confirm != nil {
			t.work(use, t.decide)
		}
	case use.AtClient:
		t.begin(use)
	}
}

func (t *turn) begin(use ToolUse) {
	if t.tools[use.Name] == nil {
		return
	}
	if kept, taken := t.client.answers.take(t.key(use)); taken {
		t.work(use, func(ctx context.Context, use ToolUse) error { return t.answer(ctx, use, kept) })
	}
}

// work does something about a use beside the following. That it was called off is no failure.
func (t *turn) work(use ToolUse, task func(context.Context, ToolUse) error) {
	ctx, cancel := context.WithCancel(t.ctx)
	t.atWork[use.ID] = cancel
	t.group.Go(func() error {
		if err := task(ctx, use); ctx.Err() == nil {
			return err
		}
		return nil
	})
}

// settle: a use was confirmed, and its result is wanted now; or it was closed, and its handler works for nothing.
func (t *turn) settle(event *v1.SessionEvent) {
	switch payload := event.Payload.(type) {
	case *v1.SessionEvent_UserToolConfirmation:
		decided := payload.UserToolConfirmation
		use, isKnown := t.toConfirm[decided.ToolUseId]
		if !isKnown {
			// Status had told of it before the stream: what is at work on the use is its handler.
			return
		}
		delete(t.toConfirm, use.ID)
		// Somebody else was faster, and nobody need be asked any more; or it is our own decision that came back.
		t.callOff(use.ID)
		delete(t.atWork, use.ID)
		if use.AtClient && decided.Decision == v1.ToolConfirmation_TOOL_CONFIRMATION_ALLOW {
			t.begin(use)
		}
	case *v1.SessionEvent_AgentToolResult:
		t.callOff(payload.AgentToolResult.ToolUseId)
	}
}

func (t *turn) callOff(useID string) {
	if cancel, isAtWork := t.atWork[useID]; isAtWork {
		cancel()
	}
}

func (t *turn) keep(event *v1.SessionEvent) error {
	t.result.Events = append(t.result.Events, event)
	if t.isOutcome && event.Response != nil {
		t.result.Usage = sum(t.result.Usage, event.Response.Usage)
	}
	switch payload := event.Payload.(type) {
	case *v1.SessionEvent_AgentMessage:
		if words := TextOf(payload.AgentMessage.Content); words != "" {
			if event.ResponseId == "" || event.ResponseId != t.saidIn {
				t.result.Text = ""
			}
			t.result.Text += words
			t.saidIn = event.ResponseId
		}
	case *v1.SessionEvent_Error:
		if payload.Error.Next != v1.ErrorNext_ERROR_NEXT_TURN_GOES_ON {
			t.result.Error = payload.Error
		}
	}
	if t.onEvent != nil {
		return t.onEvent(event)
	}
	return nil
}

func (t *turn) isOver(event *v1.SessionEvent, ours bool) bool {
	switch payload := event.Payload.(type) {
	case *v1.SessionEvent_StatusIdle:
		return t.isOverAt(payload.StatusIdle, ours)
	case *v1.SessionEvent_StatusCompleted, *v1.SessionEvent_StatusFailed, *v1.SessionEvent_StatusArchived:
		t.result.StopReason = strings.TrimPrefix(which(event, "payload"), "status_")
		return true
	case *v1.SessionEvent_UserDefineOutcome:
		t.isOutcome = t.isOutcome || event.Seq == t.result.Seq
	case *v1.SessionEvent_StatusRunning:
		t.isTowards = t.isTowards || ours && t.isOutcome
	case *v1.SessionEvent_OutcomeEvaluated:
		if ours && t.isOutcome {
			t.turns = append(t.turns, event.Seq)
		} else if ours {
			t.result.StopReason = "outcome_evaluated"
			return true
		}
	}
	return false
}

func (t *turn) isOverAt(idle *v1.StatusIdle, ours bool) bool {
	reason := idle.GetStopReason()
	if slices.Contains(reason.GetInterrupted().GetDroppedSeqs(), t.result.Seq) {
		t.result.StopReason = "dropped"
		return true
	}
	waits := reason.GetRequiresAction()
	switch {
	case t.isTowards && reason.GetEndTurn() != nil:
		// A message's turn comes next, and it is judged after that one.
		return false
	case !ours && (!t.isTowards || waits != nil), slices.ContainsFunc(waits.GetIds(), t.isAnswering):
		return false
	}
	t.result.StopReason, t.result.WaitsFor = StopReasonOf(idle), waits.GetIds()
	if !t.isOutcome {
		t.result.Usage = idle.Usage
	}
	return true
}

func (t *turn) isAnswering(useID string) bool {
	_, isAtWork := t.atWork[useID]
	return isAtWork || t.client.answers.inHand(useKey{t.sessionID, useID})
}

func (t *turn) decide(ctx context.Context, use ToolUse) error {
	decision, err := beside(ctx, func() (Decision, error) { return t.confirm(ctx, use) })
	if err != nil {
		return err
	}
	return t.send(ctx, ConfirmationEvent(use.ID, decision))
}

func (t *turn) answer(ctx context.Context, use ToolUse, told *answer) error {
	if told == nil {
		told = ask(ctx, use, t.tools[use.Name])
	}
	err := t.send(ctx, ResultEvent(use, told.content, told.isError))
	var refused *Error
	if errors.As(err, &refused) && (refused.Code == codes.InvalidArgument || refused.Code == codes.ResourceExhausted) {
		// The handler's result is too large, say. The model is told, rather than left waiting.
		told = failed("The tool ran, but its result was refused: " + refused.Message)
		err = t.send(ctx, ResultEvent(use, told.content, told.isError))
	}
	if err != nil {
		t.client.answers.keep(t.key(use), told)
	}
	return err
}

// send sends an answer. That nobody waits for it any more is no failure: the stream says how the turn goes on, or that
// it is over.
func (t *turn) send(ctx context.Context, event *v1.UserEvent) error {
	_, err := t.client.SendEvent(ctx, &v1.SendEventRequest{SessionId: t.sessionID, Event: event})
	var late *Error
	if errors.As(err, &late) && slices.Contains(
		[]string{"TOOL_USE_CLOSED", "SESSION_TERMINAL", "SESSION_NOT_FOUND"}, late.Reason) {
		slog.Debug("nobody waits for this answer any more", "session", t.sessionID, "why", late)
		return nil
	}
	return err
}

func (t *turn) key(use ToolUse) useKey { return useKey{t.sessionID, use.ID} }
