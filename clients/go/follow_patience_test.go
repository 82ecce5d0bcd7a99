package managedagents_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	managedagents "github.com/managedagents/managedagents/clients/go"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// hanging tells the messages, and then nothing until the client is gone.
func hanging(gone chan<- struct{}, messages ...*v1.StreamEventsResponse) follower {
	return func(_ *v1.StreamEventsRequest, stream sending) error {
		if err := send(stream, messages...); err != nil {
			return err
		}
		<-stream.Context().Done()
		close(gone)
		return nil
	}
}

func TestASilentStreamIsGivenUpForANewOne(t *testing.T) {
	var streams atomic.Int32
	gone := make(chan struct{})
	silent := hanging(gone, opened(0), batch(1, 2))
	service := &fake{follow: func(request *v1.StreamEventsRequest, stream sending) error {
		if streams.Add(1) == 1 {
			return silent(request, stream)
		}
		return send(stream, opened(0), batch(3, 3), ended(3))
	}}
	client := faked(t, service, managedagents.WithHeartbeatTimeout(time.Second))
	follows(t, client.Follow("ses_1", 0), 1, 2, 3)
	equal(t, asked[*v1.StreamEventsRequest](service)[1].GetFromSeq(), 2)
	comes(t, gone)
}

func TestAReaderThatTakesItsTimeIsNoSilence(t *testing.T) {
	service := &fake{follow: telling(opened(0), batch(1, 1), batch(2, 2), ended(2))}
	client := faked(t, service, managedagents.WithHeartbeatTimeout(500*time.Millisecond))
	for _, err := range client.Follow("ses_1", 0).Events(t.Context()) {
		ok(t, err)
		time.Sleep(700 * time.Millisecond) // Longer than the timeout: that it passes is what is tested.
	}
	equal(t, len(asked[any](service)), 1)
}

// told gives what a follow with deltas says, in a word for each item.
func told(t *testing.T, follow *managedagents.Follow) string {
	t.Helper()
	var words []string
	for item, err := range follow.Items(t.Context()) {
		ok(t, err)
		switch {
		case item.Event != nil:
			words = append(words, "event")
		case item.Delta != nil:
			words = append(words, item.Delta.GetText())
		case item.Discarded != nil:
			words = append(words, "discarded:"+item.Discarded.ResponseId)
		case item.Turn != nil:
			waitsFor := strings.Join(item.Turn.GetResult().GetWaitsFor(), ",")
			words = append(words, fmt.Sprintf("turn:%d,%s", len(item.Turn.PendingActions), waitsFor))
		}
	}
	return strings.Join(words, " ")
}

func TestHalfAnAnswerIsDiscardedWhenItsStreamIsCut(t *testing.T) {
	service := &fake{follow: func(request *v1.StreamEventsRequest, stream sending) error {
		if request.LogId == nil {
			return errors.Join(send(stream, opened(0), batch(1, 1), delta("Hel")), unavailable)
		}
		return send(stream, opened(0), delta("Hello"), batchOf(said(2, "rsp_1")), ended(2))
	}}
	equal(t, told(t, faked(t, service).Follow("ses_1", 0)), "event Hel discarded:rsp_1 Hello event")
	equal(t, asked[*v1.StreamEventsRequest](service)[0].IncludeDeltas, true)
}

func TestAnAnswerThatTheServerDiscardsIsDiscardedOnce(t *testing.T) {
	discarded := &v1.StreamEventsResponse_DeltaDiscarded{
		DeltaDiscarded: &v1.StreamDeltaDiscarded{ResponseId: "rsp_1", Attempt: 1}}
	service := &fake{follow: func(request *v1.StreamEventsRequest, stream sending) error {
		if request.LogId == nil {
			message := &v1.StreamEventsResponse{Message: discarded}
			return errors.Join(send(stream, opened(0), delta("Hel"), message), unavailable)
		}
		return send(stream, opened(0), ended(0))
	}}
	equal(t, told(t, faked(t, service).Follow("ses_1", 0)), "Hel discarded:rsp_1")
}

func TestHalfAnAnswerIsDiscardedWhenReadingGoesOnAfterAStop(t *testing.T) {
	service := &fake{follow: telling(opened(0), delta("Hello"), batchOf(said(1, "rsp_1")), ended(1))}
	follow := faked(t, service).Follow("ses_1", 0)
	for item, err := range follow.Items(t.Context()) {
		ok(t, err)
		equal(t, item.Delta.GetText(), "Hello")
		break
	}
	equal(t, told(t, follow), "discarded:rsp_1 Hello event")
}

func TestAToldAnswerIsNotDiscardedWhenItsStreamIsCut(t *testing.T) {
	service := &fake{follow: func(request *v1.StreamEventsRequest, stream sending) error {
		if request.LogId == nil {
			return errors.Join(send(stream, opened(0), delta("Hello"), batchOf(said(1, "rsp_1"))), unavailable)
		}
		return send(stream, opened(0), ended(1))
	}}
	equal(t, told(t, faked(t, service).Follow("ses_1", 0)), "Hello event")
}

func TestToStopReadingCancelsTheCallAtOnce(t *testing.T) {
	gone := make(chan struct{})
	client := faked(t, &fake{follow: hanging(gone, opened(0), batch(1, 2))})
	for event, err := range client.Follow("ses_1", 0).Events(t.Context()) {
		ok(t, err)
		equal(t, event.Seq, 1)
		break
	}
	comes(t, gone)
}

func TestToCancelTheContextEndsTheFollowAtOnce(t *testing.T) {
	gone := make(chan struct{})
	client := faked(t, &fake{follow: hanging(gone, opened(0), batch(1, 1))})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for event, err := range client.Follow("ses_1", 0).Events(ctx) {
		last = err
		if event != nil {
			cancel()
		}
	}
	equal(t, last, context.Canceled)
	comes(t, gone)
}

func TestToCancelTheContextEndsAWaitForAServerAtOnce(t *testing.T) {
	service := &fake{follow: telling(opened(0), batch(1, 1))}
	address, stop := serve(t, service)
	client := connect(t, address, managedagents.WithPatience(time.Hour))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for event, err := range client.Follow("ses_1", 0).Events(ctx) {
		last = err
		if event != nil {
			stop()
			time.AfterFunc(200*time.Millisecond, cancel)
		}
	}
	equal(t, errors.Is(last, context.Canceled), true)
	equal(t, errors.Is(last, managedagents.ErrNoAnswer), true)
}

func TestPatienceWithAServerThatIsGoneEnds(t *testing.T) {
	gone := make(chan struct{})
	address, stop := serve(t, &fake{follow: hanging(gone, opened(0), batch(1, 1))})
	client := connect(t, address, managedagents.WithPatience(500*time.Millisecond))
	var last error
	for event, err := range client.Follow("ses_1", 0).Events(t.Context()) {
		last = err
		if event != nil {
			stop()
		}
	}
	equal(t, errors.Is(last, managedagents.ErrNoAnswer), true)
}

func TestAFollowOfAServerThatWasNeverThereIsToldSoon(t *testing.T) {
	client := connect(t, "127.0.0.1:1", managedagents.WithConnectTimeout(300*time.Millisecond))
	began := time.Now()
	_, err := seqs(t.Context(), client.Follow("ses_1", 0))
	equal(t, errors.Is(err, managedagents.ErrNoAnswer), true)
	equal(t, time.Since(began) < 3*time.Second, true)
}

func TestAReaderThatTookItsTimeHasTheWholePatienceLeft(t *testing.T) {
	proceed := make(chan struct{})
	service := &fake{follow: func(request *v1.StreamEventsRequest, stream sending) error {
		if request.GetFromSeq() == 0 {
			err := send(stream, opened(0), batch(1, 1))
			<-proceed
			return errors.Join(err, unavailable)
		}
		return send(stream, opened(0), batch(2, 2), ended(2))
	}}
	client := faked(t, service, managedagents.WithPatience(400*time.Millisecond))
	for event, err := range client.Follow("ses_1", 0).Events(t.Context()) {
		ok(t, err)
		if event.Seq == 1 {
			time.Sleep(600 * time.Millisecond) // Longer than the patience: that it passes is what is tested.
			close(proceed)
		}
	}
}

func TestTheBareStreamGivesEachMessageAndIsNotOpenedAgain(t *testing.T) {
	service := &fake{follow: func(_ *v1.StreamEventsRequest, stream sending) error {
		return errors.Join(send(stream, opened(7), caughtUp(7)), unavailable)
	}}
	messages, last := 0, error(nil)
	for _, err := range faked(t, service).StreamEvents(t.Context(), &v1.StreamEventsRequest{}) {
		messages, last = messages+1, err
	}
	equal(t, messages, 3)
	equal(t, errors.Is(last, managedagents.ErrNoAnswer), true)
	equal(t, len(asked[any](service)), 1)
}
