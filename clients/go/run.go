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

// RunOption sets how a run answers what its turn asks for.
type RunOption func(*run)

// WithTools answers custom tool uses, and built-in ones that run at the client, by their handlers. Several at once are
// answered at once, and a client calls a handler at most once for a use.
func WithTools(tools Tools) RunOption {
	return func(r *run) { r.tools = tools }
}

// WithConfirm decides on uses that wait for permission. Its error ends the run. Its context is over when somebody else was
// faster, or nobody waits for the decision any more.
func WithConfirm(confirm func(ctx context.Context, use ToolUse) (Decision, error)) RunOption {
	return func(r *run) { r.confirm = confirm }
}

// OnEvent is given each event of the turn, before the next one is read. Its error ends the run.
func OnEvent(onEvent func(event *v1.SessionEvent) error) RunOption {
	return func(r *run) { r.onEvent = onEvent }
}

// WithRequestID is the request id that the message is sent with.
func WithRequestID(id string) RunOption {
	return func(r *run) { r.requestID = id }
}

// RunResult is how the turn of a message ended.
type RunResult struct {
	// Seq is the seq of the message, which numbers its turn.
	Seq uint64
	// StopReason is as in status.idle: end_turn, max_tokens, interrupted, refusal, max_tool_rounds, retries_exhausted,
	// error, …; requires_action where nothing here can answer what the turn waits for; dropped where the message was
	// dropped from the queue; outcome_evaluated where the turn was judged; completed, failed, archived or deleted where
	// the session ended.
	StopReason string
	// Text is what the agent said last in the turn. Empty: nothing.
	Text string
	// Events are the events of the turn, in order of seq.
	Events []*v1.SessionEvent
	// Usage is what the turn cost. Nil where it did not end with status.idle.
	Usage *v1.Usage
	// Error is the last error of the turn that it did not go on from. Nil: there was none.
	Error *v1.ErrorEvent
	// WaitsFor are, with requires_action, the ids of the tool uses that the turn waits for.
	WaitsFor []string
}

// Run sends a message, or any user event, answers what its turn asks for, and returns when the turn is over. A failed
// model or tool is no error here: StopReason and Error of the result tell it. When the context is over the session is left
// as it is.
func (c *Client) Run(
	ctx context.Context, sessionID string, event *v1.UserEvent, options ...RunOption,
) (*RunResult, error) {
	r := &run{client: c, sessionID: sessionID, toConfirm: map[string]ToolUse{}, earlier: map[string]bool{},
		atWork: map[string]context.CancelFunc{}}
	for _, option := range options {
		option(r)
	}
	request := &v1.SendEventRequest{SessionId: sessionID, Event: event, RequestId: r.requestID}
	sent, err := c.SendEvent(ctx, request)
	if err != nil {
		return nil, err
	}
	r.result.Seq, r.turns = sent.Seq, []uint64{sent.Seq}
	r.group, r.ctx = errgroup.WithContext(ctx)
	r.group.Go(r.follow)
	if err := r.group.Wait(); err != nil {
		return nil, err
	}
	return &r.result, nil
}

// run is one message's turn (or an outcome's turns), from its seq to its end. Its fields belong to the goroutine that
// follows; the others send answers.
type run struct {
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
	saidIn    string
	toConfirm map[string]ToolUse
	earlier   map[string]bool
	atWork    map[string]context.CancelFunc
}

func (r *run) follow() error {
	// What is still at work at the end answers a use that the end of the turn has closed.
	defer func() {
		for _, cancel := range r.atWork {
			cancel()
		}
	}()
	if err := r.answerEarlier(); err != nil {
		return err
	}
	follow := r.client.Follow(r.sessionID, r.result.Seq-1)
	for event, err := range follow.Events(r.ctx) {
		if errors.Is(err, ErrNotFound) {
			// It took our message, so it was deleted.
			r.result.StopReason = "deleted"
			return nil
		}
		if err != nil {
			return err
		}
		if isOver, err := r.take(event); isOver || err != nil {
			return err
		}
	}
	name := follow.Ended().GetReason().String()
	r.result.StopReason = strings.ToLower(strings.TrimPrefix(name, "STREAM_END_REASON_"))
	return nil
}

func (r *run) take(event *v1.SessionEvent) (isOver bool, err error) {
	ours := slices.Contains(r.turns, event.Turn)
	if err := r.settle(event); err != nil {
		return false, err
	}
	if use, isUse := UseOf(event); isUse {
		r.look(use, ours)
	}
	if ours {
		if err := r.keep(event); err != nil {
			return false, err
		}
	}
	return r.isOver(event, ours), nil
}

// answerEarlier answers what an earlier turn waits for: it keeps ours from beginning. Uses of our own are met again in
// the stream.
func (r *run) answerEarlier() error {
	status, err := r.client.Status(r.ctx, &v1.StatusRequest{SessionId: r.sessionID})
	if errors.Is(err, ErrNotFound) {
		// Deleted after it took our message; following it tells the same.
		return nil
	}
	if err != nil {
		return err
	}
	for _, action := range status.PendingActions {
		use := UseThatWaits(action)
		if _, isKnown := r.toConfirm[use.ID]; action.Seq < r.result.Seq && !isKnown {
			r.earlier[use.ID] = true
			r.look(use, false)
		}
	}
	return nil
}

// look begins to answer a use, if it is ours to answer: another turn's only where there is a handler for it.
func (r *run) look(use ToolUse, ours bool) {
	_, isMine := r.tools[use.Name]
	switch {
	case use.NeedsConfirmation:
		r.toConfirm[use.ID] = use
		if r.confirm != nil {
			r.work(use, r.decide)
		}
	case use.AtClient && (ours || isMine):
		r.begin(use)
	}
}

func (r *run) begin(use ToolUse) {
	if kept, taken := r.client.answers.take(r.key(use)); taken {
		r.work(use, func(ctx context.Context, use ToolUse) error { return r.answer(ctx, use, kept) })
	}
}

// work does something about a use beside the following. That it was called off is no failure.
func (r *run) work(use ToolUse, task func(context.Context, ToolUse) error) {
	ctx, cancel := context.WithCancel(r.ctx)
	r.atWork[use.ID] = cancel
	r.group.Go(func() error {
		if err := task(ctx, use); ctx.Err() == nil {
			return err
		}
		return nil
	})
}

// settle: a use was confirmed, and its result is wanted now; or it was closed, and its handler works for nothing.
func (r *run) settle(event *v1.SessionEvent) error {
	switch payload := event.Payload.(type) {
	case *v1.SessionEvent_UserToolConfirmation:
		decided := payload.UserToolConfirmation
		use, isKnown := r.toConfirm[decided.ToolUseId]
		delete(r.toConfirm, decided.ToolUseId)
		// Somebody else was faster, and nobody need be asked any more; or it is our own decision that came back.
		r.callOff(decided.ToolUseId)
		delete(r.atWork, decided.ToolUseId)
		if !isKnown || decided.Decision != v1.ToolConfirmation_TOOL_CONFIRMATION_ALLOW {
			return nil
		}
		if use.AtClient {
			r.begin(use)
		} else if r.earlier[use.ID] {
			// While it waited for the decision nothing told where it runs.
			return r.answerEarlier()
		}
	case *v1.SessionEvent_AgentToolResult:
		r.callOff(payload.AgentToolResult.ToolUseId)
	}
	return nil
}

func (r *run) callOff(useID string) {
	if cancel, isAtWork := r.atWork[useID]; isAtWork {
		cancel()
	}
}

func (r *run) keep(event *v1.SessionEvent) error {
	r.result.Events = append(r.result.Events, event)
	switch payload := event.Payload.(type) {
	case *v1.SessionEvent_AgentMessage:
		if words := TextOf(payload.AgentMessage.Content); words != "" {
			if event.ResponseId == "" || event.ResponseId != r.saidIn {
				r.result.Text = ""
			}
			r.result.Text += words
			r.saidIn = event.ResponseId
		}
	case *v1.SessionEvent_Error:
		if payload.Error.Next != v1.ErrorNext_ERROR_NEXT_TURN_GOES_ON {
			r.result.Error = payload.Error
		}
	}
	if r.onEvent != nil {
		return r.onEvent(event)
	}
	return nil
}

func (r *run) isOver(event *v1.SessionEvent, ours bool) bool {
	switch payload := event.Payload.(type) {
	case *v1.SessionEvent_StatusIdle:
		return r.isOverAt(payload.StatusIdle, ours)
	case *v1.SessionEvent_StatusCompleted, *v1.SessionEvent_StatusFailed, *v1.SessionEvent_StatusArchived:
		r.result.StopReason = strings.TrimPrefix(which(event, "payload"), "status_")
		return true
	case *v1.SessionEvent_UserDefineOutcome:
		r.isOutcome = r.isOutcome || event.Seq == r.result.Seq
	case *v1.SessionEvent_OutcomeEvaluated:
		if ours && r.isOutcome {
			r.turns = append(r.turns, event.Seq)
		} else if ours {
			r.result.StopReason = "outcome_evaluated"
			return true
		}
	}
	return false
}

func (r *run) isOverAt(idle *v1.StatusIdle, ours bool) bool {
	if slices.Contains(idle.GetStopReason().GetInterrupted().GetDroppedSeqs(), r.result.Seq) {
		r.result.StopReason = "dropped"
		return true
	}
	waitsFor := idle.GetStopReason().GetRequiresAction().GetIds()
	if !ours || slices.ContainsFunc(waitsFor, r.isAnswering) {
		return false
	}
	r.result.StopReason, r.result.WaitsFor, r.result.Usage = StopReasonOf(idle), waitsFor, idle.Usage
	return true
}

func (r *run) isAnswering(useID string) bool {
	_, isAtWork := r.atWork[useID]
	return isAtWork || r.client.answers.inHand(useKey{r.sessionID, useID})
}

func (r *run) decide(ctx context.Context, use ToolUse) error {
	decision, err := beside(ctx, func() (Decision, error) { return r.confirm(ctx, use) })
	if err != nil {
		return err
	}
	return r.send(ctx, ConfirmationEvent(use.ID, decision))
}

func (r *run) answer(ctx context.Context, use ToolUse, told *answer) error {
	if told == nil {
		told = ask(ctx, use, r.tools[use.Name])
	}
	err := r.send(ctx, ResultEvent(use, told.content, told.isError))
	var refused *Error
	if errors.As(err, &refused) && (refused.Code == codes.InvalidArgument || refused.Code == codes.ResourceExhausted) {
		// The handler's result is too large, say. The model is told, rather than left waiting.
		told = failed("The tool ran, but its result was refused: " + refused.Message)
		err = r.send(ctx, ResultEvent(use, told.content, told.isError))
	}
	if err != nil {
		r.client.answers.keep(r.key(use), told)
	}
	return err
}

// send sends an answer. That nobody waits for it any more is no failure: the stream says how the turn goes on, or that it
// is over.
func (r *run) send(ctx context.Context, event *v1.UserEvent) error {
	_, err := r.client.SendEvent(ctx, &v1.SendEventRequest{SessionId: r.sessionID, Event: event})
	var late *Error
	if errors.As(err, &late) && slices.Contains(
		[]string{"TOOL_USE_CLOSED", "SESSION_TERMINAL", "SESSION_NOT_FOUND"}, late.Reason) {
		slog.Debug("nobody waits for this answer any more", "session", r.sessionID, "why", late)
		return nil
	}
	return err
}

func (r *run) key(use ToolUse) useKey { return useKey{r.sessionID, use.ID} }
