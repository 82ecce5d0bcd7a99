package managedagents

import (
	"context"

	"golang.org/x/sync/errgroup"

	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// RunOption sets how a run answers what its turn asks for.
type RunOption func(*turn)

// WithTools answers custom tool uses, and built-in ones that run at the client, by their handlers. Several at once are
// answered at once, and a client calls a handler at most once for a use. A use without a handler stays open for others.
func WithTools(tools Tools) RunOption {
	return func(t *turn) { t.tools = tools }
}

// WithConfirm decides on uses that wait for permission. Its error ends the run. Its context is over when somebody else
// was faster, or nobody waits for the decision any more.
func WithConfirm(confirm func(ctx context.Context, use ToolUse) (Decision, error)) RunOption {
	return func(t *turn) { t.confirm = confirm }
}

// OnEvent is given each event of the turn, before the next one is read. Its error ends the run.
func OnEvent(onEvent func(event *v1.SessionEvent) error) RunOption {
	return func(t *turn) { t.onEvent = onEvent }
}

// WithRequestID is the request id that the message is sent with.
func WithRequestID(id string) RunOption {
	return func(t *turn) { t.requestID = id }
}

// RunResult is how the turn of a message ended, or an outcome.
type RunResult struct {
	// Seq is the seq of the message, which numbers its turn; or of the outcome.
	Seq uint64
	// StopReason is as in status.idle: end_turn, max_tokens, interrupted, refusal, max_tool_rounds, retries_exhausted,
	// error, …; requires_action where nothing here can answer what the turn waits for; dropped where the message was
	// dropped from the queue; outcome_evaluated where the turn of a message was judged; completed, failed, archived or
	// deleted where the session ended. An outcome that is met ends in completed, one that is not in
	// max_outcome_iterations.
	StopReason string
	// Text is what the agent said last in the turn, or for the outcome. Empty: nothing.
	Text string
	// Events are the events of the turn, or of the outcome's turns, in order of seq.
	Events []*v1.SessionEvent
	// Usage is what the turn cost, nil where it did not end with status.idle; of an outcome, what its turns cost.
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
	t := &turn{client: c, sessionID: sessionID, toConfirm: map[string]ToolUse{},
		atWork: map[string]context.CancelFunc{}}
	for _, option := range options {
		option(t)
	}
	request := &v1.SendEventRequest{SessionId: sessionID, Event: event, RequestId: t.requestID}
	sent, err := c.SendEvent(ctx, request)
	if err != nil {
		return nil, err
	}
	t.result.Seq, t.turns = sent.Seq, []uint64{sent.Seq}
	t.group, t.ctx = errgroup.WithContext(ctx)
	t.group.Go(t.follow)
	if err := t.group.Wait(); err != nil {
		return nil, err
	}
	return &t.result, nil
}
