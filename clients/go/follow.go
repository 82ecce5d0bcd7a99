package managedagents

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// StreamEvents is the bare call: the messages of one stream, which is not opened again. An error is the last it gives.
// A stream whose last message is no `ended` was cut. To stop reading cancels the call at once. For most, Follow is
// better.
func (c *Client) StreamEvents(
	ctx context.Context, request *v1.StreamEventsRequest, options ...grpc.CallOption,
) iter.Seq2[*v1.StreamEventsResponse, error] {
	return func(yield func(*v1.StreamEventsResponse, error) bool) {
		streaming, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		silent := c.silence(fmt.Sprintf("nothing came for %s", c.heartbeatTimeout))
		// It runs only while something is waited for: a reader may take its time.
		watch := time.AfterFunc(c.heartbeatTimeout, func() { cancel(silent) })
		defer watch.Stop()
		stream, err := c.ManagedAgentRuntimeClient.StreamEvents(streaming, request, options...)
		for err == nil {
			var message *v1.StreamEventsResponse
			watch.Reset(c.heartbeatTimeout)
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
			failed := c.failure(err)
			// Nobody gave this call a deadline here: one that passed was a proxy's, and ends a stream like any cut.
			failed.passes = failed.passes || failed.Code == codes.DeadlineExceeded
			yield(nil, failed)
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

// OfTurn follows the turn of the message of this seq, or all the turns towards an outcome, and is over with it.
func OfTurn(seq uint64) FollowOption {
	return func(request *v1.StreamEventsRequest) { request.Turn = seq }
}

// Item is what Items gives: one of these is set.
type Item struct {
	Event *v1.SessionEvent
	// Delta is a piece of what a model is in the middle of saying.
	Delta *v1.StreamDelta
	// Discarded: throw the pieces of this response away; it starts over, or will not be.
	Discarded *v1.StreamDeltaDiscarded
	// Turn is where the turn stands that is followed: what it waits for, and at last how it ended.
	Turn *v1.StreamTurn
}

// Follow is one unbroken run of a session's events, over as many streams as it takes: none twice, none left out, until
// the session is over, or the turn that is followed. It is for one goroutine. To range again after a stop goes on where
// it stopped.
type Follow struct {
	client *Client
	// What the next stream is asked for.
	request  *v1.StreamEventsRequest
	caughtUp bool
	ended    *v1.StreamEnded
	attempts attempts
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

// Ended is how the events ended for good. Nil: they did not, as far as is known.
func (f *Follow) Ended() *v1.StreamEnded { return f.ended }

// Events gives the events until the session is over, or the context. An error is the last it gives. An event whose kind
// this client does not know is passed over. To stop reading cancels the call at once.
func (f *Follow) Events(ctx context.Context) iter.Seq2[*v1.SessionEvent, error] {
	return func(yield func(*v1.SessionEvent, error) bool) {
		for item, err := range f.items(ctx, false) {
			if (item.Event != nil || err != nil) && !yield(item.Event, err) {
				return
			}
		}
	}
}

// Items gives the events as Events does, what a model is in the middle of saying, and where the turn stands that is
// followed. When a stream is cut, or reading stopped, in the middle of a response, that is Discarded: what the next
// stream tells of it starts over.
func (f *Follow) Items(ctx context.Context) iter.Seq2[Item, error] {
	return f.items(ctx, true)
}

func (f *Follow) items(ctx context.Context, deltas bool) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		f.request.IncludeDeltas = deltas
		for f.ended == nil {
			if discarded := f.halfTold; discarded != nil {
				f.halfTold = nil
				if !yield(Item{Discarded: discarded}, nil) {
					return
				}
			}
			err := f.stream(ctx, yield)
			var failure *Error
			switch {
			case err == nil:
				return
			case errors.Is(err, ErrNotFound) && f.request.LogId != nil:
				// It was there, and was deleted while no stream was open to say so.
				reason := v1.StreamEndReason_STREAM_END_REASON_DELETED
				f.ended = &v1.StreamEnded{Reason: reason, LastSeq: f.ThroughSeq(), Final: true}
				return
			case errors.As(err, &failure):
				err = f.attempts.wait(ctx, f.client, failure)
			}
			if err != nil {
				yield(Item{}, err)
				return
			}
		}
	}
}

// stream reads one stream. Nil: the reader stopped, or there is nothing more to read. A message or an event of a kind
// that is not known here is passed over.
func (f *Follow) stream(ctx context.Context, yield func(Item, error) bool) error {
	for message, err := range f.client.StreamEvents(ctx, f.request) {
		if err != nil {
			return err
		}
		if message.GetOpened() == nil {
			// A stream that only ever opens is no better than none.
			f.attempts = attempts{}
		}
		proceed := true
		switch message := message.Message.(type) {
		case *v1.StreamEventsResponse_Opened:
			f.request.LogId = &message.Opened.LogId
			if f.request.FromSeq == nil {
				f.request.FromSeq = &message.Opened.HeadSeq
			}
		case *v1.StreamEventsResponse_Batch:
			proceed = f.batch(message.Batch, yield)
		case *v1.StreamEventsResponse_CaughtUp:
			f.caughtUp = true
		case *v1.StreamEventsResponse_Delta:
			delta := message.Delta
			f.halfTold = &v1.StreamDeltaDiscarded{ResponseId: delta.ResponseId, Attempt: delta.Attempt}
			proceed = yield(Item{Delta: delta}, nil)
		case *v1.StreamEventsResponse_DeltaDiscarded:
			f.halfTold = nil
			proceed = yield(Item{Discarded: message.DeltaDiscarded}, nil)
		case *v1.StreamEventsResponse_Progress:
			f.move(message.Progress.ThroughSeq)
		case *v1.StreamEventsResponse_Turn:
			proceed = yield(Item{Turn: message.Turn}, nil)
		case *v1.StreamEventsResponse_Ended:
			if !message.Ended.Final {
				return f.client.silence("the server is shutting down")
			}
			f.ended = message.Ended
			return nil
		}
		if !proceed {
			return nil
		}
	}
	return f.client.silence("the stream closed without saying why")
}

// batch gives what is new in a batch, and tells whether to go on. The seq moves before the caller gets the event.
func (f *Follow) batch(batch *v1.EventBatch, yield func(Item, error) bool) (proceed bool) {
	isWhole := len(f.request.Kinds) == 0 && f.request.Turn == 0
	for _, event := range batch.Events {
		after := f.ThroughSeq()
		if event.Seq <= after {
			continue
		}
		if isWhole && event.Seq != after+1 {
			words := fmt.Sprintf("seq %d came after %d in %s", event.Seq, after, f.request.SessionId)
			yield(Item{}, &Error{Code: codes.DataLoss, Message: words, kind: ErrPromiseBroken})
			return false
		}
		if event.ResponseId == f.halfTold.GetResponseId() {
			f.halfTold = nil
		}
		f.move(event.Seq)
		if event.Payload != nil && !yield(Item{Event: event}, nil) {
			return false
		}
	}
	f.move(batch.ThroughSeq)
	return true
}

func (f *Follow) move(seq uint64) {
	f.request.FromSeq = proto.Uint64(max(f.ThroughSeq(), seq))
}
