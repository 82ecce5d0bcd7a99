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
// answered at once, and a client calls a handler at most once for a use. A use without a handler stays open for others.
func WithTools(tools Tools) RunOption {
	return func(r *run) { r.tools = tools }
}

// WithConfirm decides on tool uses that wait for permission. Its error ends the run. Its context is over when somebody
// else was faster, or nobody waits for the decision any more.
func WithConfirm(confirm func(ctx context.Context, action *v1.PendingAction) (Decision, error)) RunOption {
	return func(r *run) { r.confirm = confirm }
}

// OnEvent is given each event of the turn, before the next one is read. Its error ends the run.
func OnEvent(onEvent func(event *v1.SessionEvent) error) RunOption {
	return func(r *run) { r.onEvent = onEvent }
}

// WithRequestID is the request id that the message is sent with.
func WithRequestID(id string) RunOption {
	return func(r *run) { r.request.RequestId = id }
}

// RunResult is how the turn of a message ended, or an outcome.
type RunResult struct {
	// Seq is the seq of the message, which numbers its turn; or of the outcome.
	Seq uint64
	// StopReason is as in status.idle: end_turn, max_tokens, interrupted, refusal, max_tool_rounds, retries_exhausted,
	// error, …; requires_action where nothing here can answer what the turn waits for; dropped where the message was
	// dropped from the queue; outcome_evaluated where the turn of a message was judged; completed, failed, archived or
	// deleted where the session ended. An outcome that is met ends in completed, one that is not in
	// max_outcome_iterations. Empty: a reason that this version of the client does not know.
	StopReason string
	// Text is what the agent said last in the turn, or for the outcome. Empty: nothing.
	Text string
	// Events are the events of the turn, or of the outcome's turns, in order of seq.
	Events []*v1.SessionEvent
	// Usage is what the turn cost, or the outcome's turns. Nil: the session was deleted.
	Usage *v1.Usage
	// Error is the last error of the turn that it did not go on from. Nil: there was none.
	Error *v1.ErrorEvent
	// WaitsFor are, with requires_action, the ids of the tool uses that the turn waits for.
	WaitsFor []string
}

// Run sends a message, or any user event, answers what its turn asks for, and returns when the turn is over; with an
// OutcomeEvent, when the outcome is. A failed model or tool is no error here: StopReason and Error of the result tell
// it. When the context is over the session is left as it is.
func (c *Client) Run(
	ctx context.Context, sessionID string, event *v1.UserEvent, options ...RunOption,
) (*RunResult, error) {
	r := &run{
		client: c, request: &v1.SendEventRequest{SessionId: sessionID, Event: event},
		onEvent: func(*v1.SessionEvent) error { return nil }, atWork: map[work]context.CancelFunc{},
	}
	for _, option := range options {
		option(r)
	}
	sent, err := c.SendEvent(ctx, r.request)
	if err != nil {
		return nil, err
	}
	r.result.Seq = sent.Seq
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
	client *Client
	// What the run began with.
	request *v1.SendEventRequest
	tools   Tools
	confirm func(context.Context, *v1.PendingAction) (Decision, error)
	onEvent func(*v1.SessionEvent) error

	group *errgroup.Group
	// The group's: over with the run.
	ctx    context.Context
	atWork map[work]context.CancelFunc
	result RunResult
}

// work is what is done here about a tool use: it may be confirmed first, and answered then.
type work struct {
	useID string
	kind  v1.PendingActionKind
}

func (r *run) follow() error {
	// What is still at work at the end answers a use that the end of the turn has closed.
	defer r.answer(nil)
	var end *v1.TurnResult
	follow := r.client.Follow(r.request.SessionId, r.result.Seq-1, OfTurn(r.result.Seq))
	for item, err := range follow.items(r.ctx, false) {
		switch {
		case errors.Is(err, ErrNotFound):
			// It took our message, so it was deleted.
			end = nil
		case err != nil:
			return err
		case item.Event != nil:
			r.result.Events = append(r.result.Events, item.Event)
			if err := r.onEvent(item.Event); err != nil {
				return err
			}
		case item.Turn != nil:
			r.answer(item.Turn.PendingActions)
			end = item.Turn.Result
		}
		if item.Turn != nil && r.isLeftToOthers(item.Turn) {
			break
		}
	}
	stop := end.GetStopReason()
	// The end of a turn is told before its stream ends: a stream that ends without it ended with the session's deletion.
	isDeleted := stop == v1.TurnStopReason_TURN_STOP_REASON_REQUIRES_ACTION && follow.Ended() != nil
	if isDeleted || stop == v1.TurnStopReason_TURN_STOP_REASON_UNSPECIFIED {
		r.result.StopReason = "deleted"
		return nil
	}
	name := v1.TurnStopReason_name[int32(stop)]
	r.result.StopReason = strings.ToLower(strings.TrimPrefix(name, "TURN_STOP_REASON_"))
	r.result.Text, r.result.Usage, r.result.Error, r.result.WaitsFor = end.Text, end.Usage, end.Error, end.WaitsFor
	return nil
}

// isLeftToOthers: it waits beyond its deadline for what is not answered here, nor was answered by others since.
func (r *run) isLeftToOthers(turn *v1.StreamTurn) bool {
	waits := turn.GetResult().GetWaitsFor()
	isOpen := func(action *v1.PendingAction) bool { return slices.Contains(waits, action.ToolUseId) }
	return slices.ContainsFunc(turn.PendingActions, isOpen) && !slices.ContainsFunc(waits, r.isAnswering)
}

// answer works on what is waited for, and on nothing else. What nobody here can answer is left to others.
func (r *run) answer(pending []*v1.PendingAction) {
	wanted := map[work]bool{}
	for _, action := range pending {
		work := work{action.ToolUseId, action.Kind}
		wanted[work] = true
		if r.atWork[work] == nil {
			r.begin(work, action)
		}
	}
	for work, cancel := range r.atWork {
		if !wanted[work] {
			// Decided, answered or closed, be it by us.
			cancel()
			delete(r.atWork, work)
		}
	}
}

// begin does what is to be done here about an action, beside the following.
func (r *run) begin(work work, action *v1.PendingAction) {
	task := r.decide
	switch action.Kind {
	case v1.PendingActionKind_PENDING_ACTION_KIND_TOOL_CONFIRMATION:
		if r.confirm == nil {
			return
		}
	case v1.PendingActionKind_PENDING_ACTION_KIND_CUSTOM_TOOL_RESULT,
		v1.PendingActionKind_PENDING_ACTION_KIND_TOOL_RESULT:
		if r.tools[action.Name] == nil {
			return
		}
		kept, taken := r.client.answers.take(useKey{r.request.SessionId, action.ToolUseId})
		if !taken {
			return
		}
		task = func(ctx context.Context, action *v1.PendingAction) error { return r.tell(ctx, action, kept) }
	default:
		return
	}
	ctx, cancel := context.WithCancel(r.ctx)
	r.atWork[work] = cancel
	r.group.Go(func() error {
		// That it was called off is no failure.
		if err := task(ctx, action); ctx.Err() == nil {
			return err
		}
		return nil
	})
}

func (r *run) isAnswering(useID string) bool {
	decides := work{useID, v1.PendingActionKind_PENDING_ACTION_KIND_TOOL_CONFIRMATION}
	return r.atWork[decides] != nil || r.client.answers.inHand(useKey{r.request.SessionId, useID})
}

func (r *run) decide(ctx context.Context, action *v1.PendingAction) error {
	decision, err := beside(ctx, func() (Decision, error) { return r.confirm(ctx, action) })
	if err != nil {
		return err
	}
	return r.send(ctx, ConfirmationEvent(action.ToolUseId, decision))
}

// tell sends the answer that was kept, or else the handler's.
func (r *run) tell(ctx context.Context, action *v1.PendingAction, answer *v1.UserEvent) error {
	if answer == nil {
		answer = ask(ctx, action, r.tools[action.Name])
	}
	err := r.send(ctx, answer)
	var refused *Error
	if errors.As(err, &refused) && (refused.Code == codes.InvalidArgument || refused.Code == codes.ResourceExhausted) {
		// The handler's result is too large, say. The model is told, rather than left waiting.
		answer = failed(action, "The tool ran, but its result was refused: "+refused.Message)
		err = r.send(ctx, answer)
	}
	if err != nil {
		r.client.answers.keep(useKey{r.request.SessionId, action.ToolUseId}, answer)
	}
	return err
}

// send sends an answer. That nobody waits for it any more is no failure: the stream says how the turn goes on, or that
// it is over.
func (r *run) send(ctx context.Context, event *v1.UserEvent) error {
	_, err := r.client.SendEvent(ctx, &v1.SendEventRequest{SessionId: r.request.SessionId, Event: event})
	var late *Error
	if errors.As(err, &late) && slices.Contains(
		[]string{"TOOL_USE_CLOSED", "SESSION_TERMINAL", "SESSION_NOT_FOUND"}, late.Reason) {
		slog.Debug("nobody waits for this answer any more", "session", r.request.SessionId, "why", late)
		return nil
	}
	return err
}
