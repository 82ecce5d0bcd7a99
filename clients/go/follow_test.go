package managedagents_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	managedagents "github.com/managedagents/managedagents/clients/go"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// seqs follows to the end.
func seqs(ctx context.Context, follow *managedagents.Follow) (seqs []uint64, err error) {
	for event, err := range follow.Events(ctx) {
		if err != nil {
			return seqs, err
		}
		seqs = append(seqs, event.Seq)
	}
	return seqs, nil
}

func follows(t *testing.T, follow *managedagents.Follow, wanted ...uint64) {
	t.Helper()
	got, err := seqs(t.Context(), follow)
	ok(t, err)
	if !slices.Equal(got, wanted) {
		t.Fatalf("followed %d, should be %d", got, wanted)
	}
}

var script = []*v1.StreamEventsResponse{
	opened(0), batch(1, 1), batch(2, 4), caughtUp(4), batch(5, 5), progress(5), batch(6, 9), ended(9),
}

// honest is a server with nine events that tells the script from where the client is; the first stream is cut.
func honest(cutAfter int, cut error) follower {
	var streams atomic.Int32
	return func(request *v1.StreamEventsRequest, stream sending) error {
		first := streams.Add(1) == 1
		for index, message := range script {
			if first && index == cutAfter {
				return cut
			}
			if part := message.GetBatch(); part != nil {
				if part.ThroughSeq <= request.GetFromSeq() {
					continue
				}
				message = batch(max(part.Events[0].Seq, request.GetFromSeq()+1), part.ThroughSeq)
			}
			if err := stream.Send(message); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestACutAtAnyPositionRepeatsNothingAndSkipsNothing(t *testing.T) {
	cuts := map[string]error{
		"unavailable": unavailable,
		"cancelled":   refusal(codes.Canceled, ""),
		"reset":       refusal(codes.Internal, ""),
		"deadline":    refusal(codes.DeadlineExceeded, ""),
		"closed":      nil,
	}
	for name, cut := range cuts {
		for cutAfter := range script {
			t.Run(fmt.Sprintf("%s after %d", name, cutAfter), func(t *testing.T) {
				t.Parallel()
				service := &fake{follow: honest(cutAfter, cut)}
				follow := faked(t, service).Follow("ses_1", 0)
				follows(t, follow, 1, 2, 3, 4, 5, 6, 7, 8, 9)
				equal(t, follow.Ended().Reason, v1.StreamEndReason_STREAM_END_REASON_ARCHIVED)
				equal(t, follow.ThroughSeq(), 9)
				equal(t, follow.CaughtUp(), true)
				requests := asked[*v1.StreamEventsRequest](service)
				equal(t, len(requests), 2)
				equal(t, requests[0].LogId == nil, true)
				equal(t, requests[1].GetLogId() == "log_1", cutAfter > 0)
			})
		}
	}
}

func TestAServerThatRepeatsEventsIsNotBelieved(t *testing.T) {
	service := &fake{follow: telling(opened(0), batch(1, 3), batch(2, 4), ended(4))}
	follows(t, faked(t, service).Follow("ses_1", 0), 1, 2, 3, 4)
}

func TestAHoleIsABrokenPromise(t *testing.T) {
	service := &fake{follow: telling(opened(0), batch(1, 3), batch(5, 6))}
	got, err := seqs(t.Context(), faked(t, service).Follow("ses_1", 0))
	equal(t, errors.Is(err, managedagents.ErrPromiseBroken), true)
	equal(t, status.Code(err), codes.DataLoss)
	equal(t, len(got), 3)
	equal(t, len(asked[any](service)), 1)
}

func TestWhereKindsAreFilteredThePlaceMovesWithTheServer(t *testing.T) {
	service := &fake{follow: func(request *v1.StreamEventsRequest, stream sending) error {
		if request.GetFromSeq() == 0 {
			return errors.Join(send(stream, opened(0), batch(3, 3), progress(700)), unavailable)
		}
		return send(stream, opened(700), ended(700))
	}}
	follow := faked(t, service).Follow("ses_1", 0, managedagents.Kinds("agent.message"))
	follows(t, follow, 3)
	requests := asked[*v1.StreamEventsRequest](service)
	equal(t, requests[1].GetFromSeq(), 700)
	equal(t, requests[1].Kinds[0], "agent.message")
}

func TestAFollowOfATurnHasItsEventsTellsWhereItStandsAndIsOverWithIt(t *testing.T) {
	over := v1.StreamEndReason_STREAM_END_REASON_TURN_OVER
	service := &fake{follow: func(request *v1.StreamEventsRequest, stream sending) error {
		if request.GetFromSeq() == 2 {
			return errors.Join(send(stream, opened(9), batch(3, 3), stands(nil, custom("use_3"))), unavailable)
		}
		return send(stream, opened(9), batch(7, 7), stands(requiresAction("use_3")), endedBy(over, 9, true))
	}}
	client := faked(t, service)
	follow := client.Follow("ses_1", 2, managedagents.OfTurn(3))
	equal(t, told(t, follow), "event turn:1, event turn:0,use_3")
	equal(t, follow.Ended().Reason, over)
	equal(t, asked[*v1.StreamEventsRequest](service)[1].Turn, 3)
	follows(t, client.Follow("ses_1", 2, managedagents.OfTurn(3)), 3, 7)
}

func TestALiveFollowGoesOnFromTheHeadThatItMet(t *testing.T) {
	service := &fake{follow: func(request *v1.StreamEventsRequest, stream sending) error {
		if request.FromSeq == nil {
			return errors.Join(send(stream, opened(5)), unavailable)
		}
		return send(stream, opened(6), batch(6, 6), ended(6))
	}}
	follows(t, faked(t, service).Follow("ses_1", 0, managedagents.FromNow()), 6)
	equal(t, asked[*v1.StreamEventsRequest](service)[1].GetFromSeq(), 5)
}

func TestAServerThatDrainsIsLeftAndFoundAgain(t *testing.T) {
	draining := v1.StreamEndReason_STREAM_END_REASON_DRAINING
	service := &fake{follow: func(request *v1.StreamEventsRequest, stream sending) error {
		seq := request.GetFromSeq() + 1
		if seq == 3 {
			return send(stream, opened(0), batch(seq, seq), ended(seq))
		}
		return send(stream, opened(0), batch(seq, seq), endedBy(draining, seq, false))
	}}
	follows(t, faked(t, service).Follow("ses_1", 0), 1, 2, 3)
}

func TestAnotherHistoryIsAnError(t *testing.T) {
	for _, replaced := range []struct {
		failure error
		kind    error
	}{
		{refusal(codes.FailedPrecondition, "LOG_REPLACED"), managedagents.ErrLogReplaced},
		{refusal(codes.OutOfRange, "FROM_SEQ_BEYOND_HEAD"), managedagents.ErrFromSeqBeyondHead},
	} {
		service := &fake{follow: func(request *v1.StreamEventsRequest, stream sending) error {
			if request.GetFromSeq() == 0 {
				return errors.Join(send(stream, opened(0), batch(1, 2)), unavailable)
			}
			return replaced.failure
		}}
		got, err := seqs(t.Context(), faked(t, service).Follow("ses_1", 0))
		equal(t, errors.Is(err, replaced.kind), true)
		equal(t, len(got), 2)
		equal(t, asked[*v1.StreamEventsRequest](service)[1].GetLogId(), "log_1")
	}
}

func TestTheHistoryThatTheCallerKnowsIsAskedFor(t *testing.T) {
	service := &fake{follow: telling(opened(0), batch(3, 3), ended(3))}
	follow := faked(t, service).Follow("ses_1", 2, managedagents.OfLog("log_0"))
	follows(t, follow, 3)
	equal(t, asked[*v1.StreamEventsRequest](service)[0].GetLogId(), "log_0")
	equal(t, follow.LogID(), "log_1")
}

func TestASessionThatWasDeletedWhileTheStreamWasCutHasEnded(t *testing.T) {
	service := &fake{follow: func(request *v1.StreamEventsRequest, stream sending) error {
		if request.LogId != nil {
			return refusal(codes.NotFound, "SESSION_NOT_FOUND")
		}
		return errors.Join(send(stream, opened(0), batch(1, 2)), unavailable)
	}}
	follow := faked(t, service).Follow("ses_1", 0)
	follows(t, follow, 1, 2)
	equal(t, follow.Ended().Reason, v1.StreamEndReason_STREAM_END_REASON_DELETED)
}

func TestASessionThatWasNeverThereIsAnError(t *testing.T) {
	service := &fake{follow: func(*v1.StreamEventsRequest, sending) error {
		return refusal(codes.NotFound, "SESSION_NOT_FOUND")
	}}
	_, err := seqs(t.Context(), faked(t, service).Follow("ses_1", 0))
	equal(t, errors.Is(err, managedagents.ErrNotFound), true)
}

// strange gives a message one field of a number that no message has.
func strange[Message proto.Message](message Message) Message {
	field := protowire.AppendTag(nil, 999, protowire.BytesType)
	message.ProtoReflect().SetUnknown(protowire.AppendBytes(field, []byte("from the future")))
	return message
}

func TestKindsOfEventsAndMessagesThatAreNotKnownArePassedOverAndTheirSeqCounts(t *testing.T) {
	service := &fake{follow: func(request *v1.StreamEventsRequest, stream sending) error {
		if request.GetFromSeq() == 0 {
			event := strange(&v1.SessionEvent{Seq: 2})
			message := strange(&v1.StreamEventsResponse{})
			return errors.Join(send(stream, opened(0), message, batchOf(said(1, ""), event)), unavailable)
		}
		return send(stream, opened(0), batch(3, 3), ended(3))
	}}
	follows(t, faked(t, service).Follow("ses_1", 0), 1, 3)
	equal(t, asked[*v1.StreamEventsRequest](service)[1].GetFromSeq(), 2)
}

func TestRangingAgainGoesOnWhereItStopped(t *testing.T) {
	service := &fake{follow: func(request *v1.StreamEventsRequest, stream sending) error {
		return send(stream, opened(0), batch(request.GetFromSeq()+1, 3), ended(3))
	}}
	follow := faked(t, service).Follow("ses_1", 0)
	for event, err := range follow.Events(t.Context()) {
		ok(t, err)
		if event.Seq == 2 {
			break
		}
	}
	equal(t, follow.ThroughSeq(), 2)
	equal(t, follow.Ended() == nil, true)
	follows(t, follow, 3)
	follows(t, follow)
}
