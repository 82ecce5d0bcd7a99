package managedagents

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"

	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// StreamEvents is the bare call: the messages of one stream, which is not opened again. An error is the last it gives.
// A stream whose last message is no `ended` was cut. To stop reading cancels the call at once. For most, Follow is
// better.
func (c *Client) StreamEvents(
	ctx context.Context, request *v1.StreamEventsRequest,
) iter.Seq2[*v1.StreamEventsResponse, error] {
	return func(yield func(*v1.StreamEventsResponse, error) bool) {
		streaming, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		silent := c.silence(fmt.Sprintf("nothing came for %s", c.settings.heartbeatTimeout))
		// It runs only while something is waited for: a reader may take its time.
		watch := time.AfterFunc(c.settings.heartbeatTimeout, func() { cancel(silent) })
		defer watch.Stop()
		stream, err := c.stub.StreamEvents(streaming, request)
		for err == nil {
			var message *v1.StreamEventsResponse
			watch.Reset(c.settings.heartbeatTimeout)
			message, err = stream.Recv()
			watch.Stop()
			if err == nil {
				c.heard.Store(true)
				if !yield(message, nil) {
					return
				}
			}
		}
		switch {
		case errors.Is(err, io.EOF):
		case ctx.Err() != nil:
			yield(nil, ctx.Err())
		case errors.Is(context.Cause(streaming), silent):
			yield(nil, silent)
		default:
			yield(nil, c.failure(err))
		}
	}
}

// FollowOption sets how a session is followed.
type FollowOption func(*v1.StreamEventsRequest)

// FromNow leaves out what is in the log already, whatever the seq.
func FromNow() FollowOption {
	return func(request *v1.StreamEventsRequest) { request.FromSeq = nil }
}

// Kinds lets only these kinds of events through, say agent.message.
func Kinds(kinds ...string) FollowOption {
	return func(request *v1.StreamEventsRequest) { request.Kinds = kinds }
}

// OfLog names the history that the seq belongs to, as LogID of an earlier Follow gave it.
func OfLog(logID string) FollowOption {
	return func(request *v1.StreamEventsRequest) { request.LogId = &logID }
}

// Item is what a follow with deltas gives: one of these is set.
type Item struct {
	Event *v1.SessionEvent
	// Delta is a piece of what a model is in the middle of saying.
	Delta *v1.StreamDelta
	// Discarded: throw the pieces of this response away; it starts over, or will not be.
	Discarded *v1.StreamDeltaDiscarded
}

// Follow is one unbroken run of a session's events, over as many streams as it takes: none twice, none left out, until
// the session is over. It is for one goroutine. To range again after a stop goes on where it stopped.
type Follow struct {
	client *Client
	// What the next stream is asked for.
	request  *v1.StreamEventsRequest
	caughtUp bool
	ended    *v1.StreamEnded
	delays   backoffDelays
	lostAt   time.Time
	halfTold *v1.StreamDeltaDiscarded
}

// Follow follows a session: all events after fromSeq (0: the whole log), then what comes, across cuts and restarts of
// the server. Nothing is asked before Events or Items is ranged over.
func (c *Client) Follow(sessionID string, fromSeq uint64, options ...FollowOption) *Follow {
	request := &v1.StreamEventsRequest{SessionId: sessionID, FromSeq: &fromSeq}
	for _, option := range options {
		option(request)
	}
	return &Follow{client: c, request: request}
}

// ThroughSeq: everything up to this seq was given or filtered; go on from here. 0 also while it is not connected yet.
func (f *Follow) ThroughSeq() uint64 { return f.request.GetFromSeq() }

// LogID names the history that the seqs belong to. Empty: not known yet.
func (f *Follow) LogID() string { return f.request.GetLogId() }

// CaughtUp: the head of the log was reached once.
func (f *Follow) CaughtUp() bool { return f.caughtUp }

// Ended is how the session's events ended for good. Nil: they did not, as far as is known.
func (f *Follow) Ended() *v1.StreamEnded { return f.ended }

// Events gives the events until the session is over, or the context. An error is the last it gives. An event whose kind
// this client does not know is passed over. To stop reading cancels the call at once.
func (f *Follow) Events(ctx context.Context) iter.Seq2[*v1.SessionEvent, error] {
	return func(yield func(*v1.SessionEvent, error) bool) {
		f.run(ctx, false, func(item Item, err error) bool { return yield(item.Event, err) })
	}
}

// Items gives the events as Events does, and what a model is in the middle of saying. When a stream is cut, or reading
// stopped, in the middle of a response, that is Discarded: what the next stream tells of it starts over.
func (f *Follow) Items(ctx context.Context) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) { f.run(ctx, true, yield) }
}

var errStopped = errors.New("the reader stopped")

func (f *Follow) run(ctx context.Context, deltas bool, yield func(Item, error) bool) {
	f.request.IncludeDeltas = deltas
	for f.ended == nil {
		if discarded := f.halfTold; deltas && discarded != nil {
			f.halfTold = nil
			if !yield(Item{Discarded: discarded}, nil) {
				return
			}
		}
		err := f.stream(ctx, func(item Item) bool { return yield(item, nil) })
		if f.ended != nil || errors.Is(err, errStopped) || f.isDeleted(err) {
			return
		}
		delay, err := f.delayAfter(err)
		if err == nil && !sleep(ctx, delay) {
			err = ctx.Err()
		}
		if err != nil {
			yield(Item{}, err)
			return
		}
	}
}

// stream reads one stream, and tells why it is over. What a message of a kind that is not known here has is passed
// over.
func (f *Follow) stream(ctx context.Context, give func(Item) bool) error {
	for message, err := range f.client.StreamEvents(ctx, f.request) {
		if err != nil {
			return err
		}
		if message.GetOpened() == nil {
			// A stream that only ever opens is no better than none.
			f.delays, f.lostAt = backoffDelays{}, time.Time{}
		}
		proceed := true
		switch message := message.Message.(type) {
		case *v1.StreamEventsResponse_Opened:
			f.open(message.Opened)
		case *v1.StreamEventsResponse_Batch:
			if err := f.batch(message.Batch, give); err != nil {
				return err
			}
		case *v1.StreamEventsResponse_CaughtUp:
			f.caughtUp = true
		case *v1.StreamEventsResponse_Delta:
			delta := message.Delta
			f.halfTold = &v1.StreamDeltaDiscarded{ResponseId: delta.ResponseId, Attempt: delta.Attempt}
			proceed = give(Item{Delta: delta})
		case *v1.StreamEventsResponse_DeltaDiscarded:
			f.halfTold = nil
			proceed = give(Item{Discarded: message.DeltaDiscarded})
		case *v1.StreamEventsResponse_Progress:
			f.move(message.Progress.ThroughSeq)
		case *v1.StreamEventsResponse_Ended:
			if !message.Ended.Final {
				return f.client.silence("the server is shutting down")
			}
			f.ended = message.Ended
			return nil
		}
		if !proceed {
			return errStopped
		}
	}
	return f.client.silence("the stream closed without saying why")
}

func (f *Follow) open(opened *v1.StreamOpened) {
	f.request.LogId = &opened.LogId
	if f.request.FromSeq == nil {
		f.request.FromSeq = &opened.HeadSeq
	}
}

// batch gives what is new in a batch. The seq moves before the caller gets the event.
func (f *Follow) batch(batch *v1.EventBatch, give func(Item) bool) error {
	for _, event := range batch.Events {
		after := f.ThroughSeq()
		if event.Seq <= after {
			continue
		}
		if len(f.request.Kinds) == 0 && event.Seq != after+1 {
			words := fmt.Sprintf("seq %d came after %d in %s", event.Seq, after, f.request.SessionId)
			return &Error{Message: words, kind: ErrPromiseBroken}
		}
		if event.ResponseId == f.halfTold.GetResponseId() {
			f.halfTold = nil
		}
		f.move(event.Seq)
		if event.Payload != nil && !give(Item{Event: event}) {
			return errStopped
		}
	}
	f.move(batch.ThroughSeq)
	return nil
}

func (f *Follow) move(seq uint64) {
	f.request.FromSeq = proto.Uint64(max(f.ThroughSeq(), seq))
}

// isDeleted tells whether the session, which was there, was deleted while no stream was open to say so.
func (f *Follow) isDeleted(err error) bool {
	var failure *Error
	if !errors.As(err, &failure) || failure.Reason != "SESSION_NOT_FOUND" || f.request.LogId == nil {
		return false
	}
	f.ended = &v1.StreamEnded{
		Reason: v1.StreamEndReason_STREAM_END_REASON_DELETED, LastSeq: f.ThroughSeq(), Final: true,
	}
	return true
}

// delayAfter is how long to wait before the next stream. It gives the error that another stream would not mend.
func (f *Follow) delayAfter(err error) (time.Duration, error) {
	var failure *Error
	if !errors.As(err, &failure) {
		return 0, err
	}
	if f.lostAt.IsZero() {
		f.lostAt = time.Now()
	}
	delay := f.delays.next(failure.RetryAfter)
	// Nobody gave this call a deadline here: one that passed was a proxy's, and ends a stream like any cut.
	passes := failure.passes || errors.Is(failure, ErrDeadlineExceeded)
	if !passes || time.Since(f.lostAt)+delay > f.client.patience() {
		return 0, failure
	}
	slog.Debug("following again", "session", f.request.SessionId, "in", delay, "after", failure)
	return delay, nil
}
