package managedagents_test

import (
	"context"
	"net"
	"path"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	managedagents "github.com/managedagents/managedagents/clients/go"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

type (
	method   func(ctx context.Context, request any) (any, error)
	follower func(request *v1.StreamEventsRequest, stream sending) error
	sending  = grpc.ServerStreamingServer[v1.StreamEventsResponse]
)

// fake is a service that does what a test says, behind a real gRPC server. What it was asked is kept.
type fake struct {
	v1.UnimplementedManagedAgentRuntimeServer
	calls  map[string]method
	follow follower

	mutex sync.Mutex
	kept  []any
}

func (f *fake) StreamEvents(request *v1.StreamEventsRequest, stream sending) error {
	f.keep(request)
	return f.follow(request, stream)
}

func (f *fake) keep(request any) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.kept = append(f.kept, request)
}

// intercept answers every call in the place of the embedded service.
func (f *fake) intercept(
	ctx context.Context, request any, info *grpc.UnaryServerInfo, _ grpc.UnaryHandler,
) (any, error) {
	f.keep(request)
	return f.calls[path.Base(info.FullMethod)](ctx, request)
}

// asked gives the requests of one type, in their order.
func asked[Request any](f *fake) (requests []Request) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for _, request := range f.kept {
		if request, is := request.(Request); is {
			requests = append(requests, request)
		}
	}
	return requests
}

// serve serves it until the test ends, or until stop is called.
func serve(t *testing.T, service *fake, options ...grpc.ServerOption) (address string, stop func()) {
	t.Helper()
	return serveAt(t, "127.0.0.1:0", service, options...)
}

func serveAt(t *testing.T, at string, service *fake, options ...grpc.ServerOption) (address string, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(append(options, grpc.UnaryInterceptor(service.intercept))...)
	v1.RegisterManagedAgentRuntimeServer(server, service)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	stop = sync.OnceFunc(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return listener.Addr().String(), stop
}

func connect(t *testing.T, address string, options ...managedagents.Option) *managedagents.Client {
	t.Helper()
	client, err := managedagents.Connect(address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

// faked is a client of the fake service.
func faked(t *testing.T, service *fake, options ...managedagents.Option) *managedagents.Client {
	t.Helper()
	address, _ := serve(t, service)
	return connect(t, address, options...)
}

// always answers the same.
func always(response any) method {
	return func(context.Context, any) (any, error) { return response, nil }
}

// failingFirst fails so often, and then answers.
func failingFirst(times int, failure error, response any) method {
	var mutex sync.Mutex
	return func(context.Context, any) (any, error) {
		mutex.Lock()
		defer mutex.Unlock()
		times--
		if times >= 0 {
			return nil, failure
		}
		return response, nil
	}
}

func refusing(failure error) method {
	return func(context.Context, any) (any, error) { return nil, failure }
}

// refusal is an error as the server sends it.
func refusal(code codes.Code, reason string, details ...proto.Message) error {
	if reason != "" {
		details = append(details, &errdetails.ErrorInfo{
			Reason: reason, Domain: "managedagents", Metadata: map[string]string{"key": "value"}})
	}
	said := status.New(code, "refused")
	for _, detail := range details {
		said = managedagents.Must(said.WithDetails(protoadapt.MessageV1Of(detail)))
	}
	return said.Err()
}

func retryAfter(delay time.Duration) proto.Message {
	return &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)}
}

var unavailable = refusal(codes.Unavailable, "")

// Messages of a stream.

func opened(headSeq uint64) *v1.StreamEventsResponse {
	message := &v1.StreamOpened{HeadSeq: headSeq, LogId: "log_1"}
	return &v1.StreamEventsResponse{Message: &v1.StreamEventsResponse_Opened{Opened: message}}
}

func batchOf(events ...*v1.SessionEvent) *v1.StreamEventsResponse {
	message := &v1.EventBatch{Events: events, ThroughSeq: events[len(events)-1].Seq}
	return &v1.StreamEventsResponse{Message: &v1.StreamEventsResponse_Batch{Batch: message}}
}

// batch has the events from the first seq to the last.
func batch(first, last uint64) *v1.StreamEventsResponse {
	var events []*v1.SessionEvent
	for seq := first; seq <= last; seq++ {
		events = append(events, said(seq, ""))
	}
	return batchOf(events...)
}

func said(seq uint64, responseID string) *v1.SessionEvent {
	return &v1.SessionEvent{
		Seq: seq, ResponseId: responseID, Payload: &v1.SessionEvent_AgentMessage{AgentMessage: &v1.AgentMessage{}}}
}

func progress(throughSeq uint64) *v1.StreamEventsResponse {
	message := &v1.StreamProgress{ThroughSeq: throughSeq}
	return &v1.StreamEventsResponse{Message: &v1.StreamEventsResponse_Progress{Progress: message}}
}

func caughtUp(headSeq uint64) *v1.StreamEventsResponse {
	message := &v1.StreamCaughtUp{HeadSeq: headSeq}
	return &v1.StreamEventsResponse{Message: &v1.StreamEventsResponse_CaughtUp{CaughtUp: message}}
}

func delta(text string) *v1.StreamEventsResponse {
	message := &v1.StreamDelta{ResponseId: "rsp_1", Attempt: 1, Piece: &v1.StreamDelta_Text{Text: text}}
	return &v1.StreamEventsResponse{Message: &v1.StreamEventsResponse_Delta{Delta: message}}
}

func ended(lastSeq uint64) *v1.StreamEventsResponse {
	return endedBy(v1.StreamEndReason_STREAM_END_REASON_ARCHIVED, lastSeq, true)
}

func endedBy(reason v1.StreamEndReason, lastSeq uint64, final bool) *v1.StreamEventsResponse {
	message := &v1.StreamEnded{Reason: reason, LastSeq: lastSeq, Final: final}
	return &v1.StreamEventsResponse{Message: &v1.StreamEventsResponse_Ended{Ended: message}}
}

// send sends messages up to the first that cannot be sent.
func send(stream sending, messages ...*v1.StreamEventsResponse) error {
	for _, message := range messages {
		if err := stream.Send(message); err != nil {
			return err
		}
	}
	return nil
}

// telling is a follower that says the same on every stream.
func telling(messages ...*v1.StreamEventsResponse) follower {
	return func(_ *v1.StreamEventsRequest, stream sending) error { return send(stream, messages...) }
}
