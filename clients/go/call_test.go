package managedagents_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	managedagents "github.com/managedagents/managedagents/clients/go"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

var hello = &v1.SendEventRequest{SessionId: "ses_1", Event: managedagents.UserMessage("hello")}

func TestACallIsAskedAgainWithTheSameRequestID(t *testing.T) {
	service := &fake{calls: map[string]method{"SendEvent": failingFirst(3, unavailable, &v1.SendEventResponse{Seq: 7})}}
	response, err := faked(t, service).SendEvent(t.Context(), hello)
	ok(t, err)
	equal(t, response.Seq, 7)
	requests := asked[*v1.SendEventRequest](service)
	equal(t, len(requests), 4)
	for _, request := range requests {
		equal(t, len(request.RequestId) >= 20, true)
		equal(t, request.RequestId, requests[0].RequestId)
	}
	equal(t, hello.RequestId, "")
}

func TestEachCallHasARequestIDOfItsOwnUnlessItIsGivenOne(t *testing.T) {
	service := &fake{calls: map[string]method{"SendEvent": always(&v1.SendEventResponse{Seq: 1})}}
	client := faked(t, service)
	mine := proto.CloneOf(hello)
	mine.RequestId = "mine"
	for _, request := range []*v1.SendEventRequest{hello, hello, mine} {
		_, err := client.SendEvent(t.Context(), request)
		ok(t, err)
	}
	ids := map[string]bool{}
	for _, request := range asked[*v1.SendEventRequest](service) {
		ids[request.RequestId] = true
	}
	equal(t, len(ids), 3)
	equal(t, ids["mine"], true)
}

func TestARefusalIsNotAskedAgain(t *testing.T) {
	for _, refused := range []error{
		refusal(codes.NotFound, "SESSION_NOT_FOUND"), refusal(codes.Aborted, "VERSION_CONFLICT"),
		refusal(codes.Internal, "INTERNAL"), refusal(codes.ResourceExhausted, "LIMIT_EXCEEDED"),
	} {
		service := &fake{calls: map[string]method{"Status": refusing(refused)}}
		_, err := faked(t, service).Status(t.Context(), &v1.StatusRequest{})
		equal(t, err != nil, true)
		equal(t, len(asked[any](service)), 1)
	}
}

func TestTheDelayThatTheServerAsksForIsKept(t *testing.T) {
	const delay = 400 * time.Millisecond
	limit := refusal(codes.ResourceExhausted, "LIMIT_EXCEEDED", retryAfter(delay))
	service := &fake{calls: map[string]method{"Status": failingFirst(1, limit, &v1.StatusResponse{HeadSeq: 3})}}
	began := time.Now()
	response, err := faked(t, service).Status(t.Context(), &v1.StatusRequest{})
	ok(t, err)
	equal(t, response.HeadSeq, 3)
	equal(t, time.Since(began) >= delay, true)
}

func TestPatienceEndsWithTheServersOwnReason(t *testing.T) {
	service := &fake{calls: map[string]method{"Status": refusing(refusal(codes.Unavailable, "LOG_UNAVAILABLE"))}}
	client := faked(t, service, managedagents.WithPatience(time.Second))
	_, err := client.Status(t.Context(), &v1.StatusRequest{})
	var failed *managedagents.Error
	equal(t, errors.As(err, &failed), true)
	equal(t, failed.Reason, "LOG_UNAVAILABLE")
	equal(t, errors.Is(err, managedagents.ErrUnavailable), true)
	equal(t, errors.Is(err, managedagents.ErrNoAnswer), false)
	equal(t, len(asked[any](service)) > 1, true)
}

func TestWithoutPatienceACallIsMadeOnce(t *testing.T) {
	draining := refusal(codes.Unavailable, "DRAINING", retryAfter(0))
	service := &fake{calls: map[string]method{"Status": refusing(draining)}}
	_, err := faked(t, service, managedagents.WithPatience(0)).Status(t.Context(), &v1.StatusRequest{})
	equal(t, errors.Is(err, managedagents.ErrUnavailable), true)
	equal(t, len(asked[any](service)), 1)
	service = &fake{calls: map[string]method{"Status": refusing(unavailable)}}
	_, err = faked(t, service, managedagents.WithPatience(0)).Status(t.Context(), &v1.StatusRequest{})
	equal(t, errors.Is(err, managedagents.ErrNoAnswer), true)
	equal(t, len(asked[any](service)), 1)
}

func TestAServerThatDoesNotAnswerIsGivenUpAfterThePatience(t *testing.T) {
	silent := func(ctx context.Context, _ any) (any, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	service := &fake{calls: map[string]method{"Status": silent}}
	client := faked(t, service, managedagents.WithPatience(time.Second))
	_, err := client.Status(t.Context(), &v1.StatusRequest{})
	equal(t, errors.Is(err, managedagents.ErrDeadlineExceeded), true)
	equal(t, len(asked[any](service)), 1)
}

func TestAServerThatWasNeverThereIsToldSoon(t *testing.T) {
	client := connect(t, "127.0.0.1:1", managedagents.WithConnectTimeout(300*time.Millisecond))
	began := time.Now()
	_, err := client.Status(t.Context(), &v1.StatusRequest{})
	equal(t, errors.Is(err, managedagents.ErrNoAnswer), true)
	equal(t, strings.Contains(err.Error(), "no server at 127.0.0.1:1"), true)
	equal(t, time.Since(began) < 3*time.Second, true)
}

func TestAnAddressThatTakesConnectionsAndSaysNothingIsToldSoon(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	defer listener.Close()
	client := connect(t, listener.Addr().String(), managedagents.WithConnectTimeout(300*time.Millisecond))
	began := time.Now()
	_, err = client.Status(t.Context(), &v1.StatusRequest{})
	equal(t, errors.Is(err, managedagents.ErrNoAnswer), true)
	equal(t, time.Since(began) < 3*time.Second, true)
}

func TestACallOutlastsARestartOfTheServer(t *testing.T) {
	service := &fake{calls: map[string]method{"Status": always(&v1.StatusResponse{HeadSeq: 3})}}
	address, stop := serve(t, service)
	client := connect(t, address, managedagents.WithConnectTimeout(500*time.Millisecond))
	_, err := client.Status(t.Context(), &v1.StatusRequest{})
	ok(t, err)
	stop()
	asking, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
	defer cancel()
	_, err = client.Status(asking, &v1.StatusRequest{})
	equal(t, errors.Is(err, context.DeadlineExceeded), true)
	equal(t, errors.Is(err, managedagents.ErrNoAnswer), true)
	waiting := beside(func() (*v1.StatusResponse, error) { return client.Status(t.Context(), &v1.StatusRequest{}) })
	serveAt(t, address, service)
	answered := comes(t, waiting)
	ok(t, answered.err)
	equal(t, answered.value.HeadSeq, 3)
}

func TestACallerThatCancelsIsObeyedAtOnce(t *testing.T) {
	atWork := make(chan struct{})
	silent := func(ctx context.Context, _ any) (any, error) {
		close(atWork)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	client := faked(t, &fake{calls: map[string]method{"Status": silent}})
	ctx, cancel := context.WithCancel(t.Context())
	waiting := beside(func() (*v1.StatusResponse, error) { return client.Status(ctx, &v1.StatusRequest{}) })
	comes(t, atWork)
	cancel()
	equal(t, comes(t, waiting).err, context.Canceled)
}

func TestACallerWhoseDeadlineComesWhileItWaitsIsObeyedAtOnce(t *testing.T) {
	later := refusal(codes.Unavailable, "DRAINING", retryAfter(time.Minute))
	client := faked(t, &fake{calls: map[string]method{"Status": refusing(later)}},
		managedagents.WithPatience(time.Hour))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := client.Status(ctx, &v1.StatusRequest{})
	equal(t, errors.Is(err, context.DeadlineExceeded), true)
	equal(t, errors.Is(err, managedagents.ErrUnavailable), true)
	equal(t, time.Since(began) < 3*time.Second, true)
}

func TestToCloseTheClientEndsItsCallsAndItsFollowsAtOnce(t *testing.T) {
	atWork, gone := make(chan struct{}), make(chan struct{})
	status := func(ctx context.Context, _ any) (any, error) {
		close(atWork)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	service := &fake{calls: map[string]method{"Status": status}, follow: hanging(gone, opened(0), batch(1, 1))}
	address, _ := serve(t, service)
	client, err := managedagents.Connect(address)
	ok(t, err)
	calling := beside(func() (*v1.StatusResponse, error) { return client.Status(t.Context(), &v1.StatusRequest{}) })
	comes(t, atWork)
	var last error
	for event, err := range client.Follow("ses_1", 0).Events(t.Context()) {
		last = err
		if event != nil {
			ok(t, client.Close())
		}
	}
	equal(t, errors.Is(last, managedagents.ErrClosed), true)
	equal(t, errors.Is(comes(t, calling).err, managedagents.ErrClosed), true)
	comes(t, gone)
	_, err = client.Status(t.Context(), &v1.StatusRequest{})
	equal(t, errors.Is(err, managedagents.ErrClosed), true)
}

func TestAnotherServiceAtTheAddressIsToldAsSuch(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	server := grpc.NewServer()
	served := beside(func() (any, error) { return nil, server.Serve(listener) })
	_, err = connect(t, listener.Addr().String()).Status(t.Context(), &v1.StatusRequest{})
	equal(t, errors.Is(err, managedagents.ErrNotThisService), true)
	server.Stop()
	ok(t, comes(t, served).err)
}

func TestAnAnswerAboveFourMebibytesIsReceived(t *testing.T) {
	words := strings.Repeat("x", 5<<20)
	agent := &v1.Agent{Definition: &v1.AgentDefinition{System: words}}
	service := &fake{calls: map[string]method{"GetAgent": always(&v1.GetAgentResponse{Agent: agent})}}
	response, err := faked(t, service).GetAgent(t.Context(), &v1.GetAgentRequest{})
	ok(t, err)
	equal(t, len(response.Agent.Definition.System), len(words))
}

func TestATokenIsSentAsABearerTokenWithAndWithoutTLS(t *testing.T) {
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	trusted := x509.NewCertPool()
	trusted.AddCert(certified.Certificate())
	var sent []string
	status := func(ctx context.Context, _ any) (any, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		sent = md.Get("authorization")
		return &v1.StatusResponse{}, nil
	}
	service := &fake{calls: map[string]method{"Status": status}}
	plain, _ := serve(t, service)
	encrypted, _ := serve(t, service, grpc.Creds(credentials.NewServerTLSFromCert(&certified.TLS.Certificates[0])))
	for _, client := range []*managedagents.Client{
		connect(t, plain, managedagents.WithToken("t0k")),
		connect(t, encrypted, managedagents.WithToken("t0k"), managedagents.WithTLS(&tls.Config{RootCAs: trusted})),
	} {
		sent = nil
		_, err := client.Status(t.Context(), &v1.StatusRequest{})
		ok(t, err)
		equal(t, strings.Join(sent, ","), "Bearer t0k")
	}
}

func TestListsGoOnOverThePagesAndStopWhereTheReaderDoes(t *testing.T) {
	list := func(_ context.Context, request any) (any, error) {
		token := request.(*v1.ListSessionsRequest).PageToken
		response := &v1.ListSessionsResponse{Sessions: []*v1.Session{{SessionId: "ses_" + token}}}
		if len(token) < 2 {
			response.NextPageToken = token + "n"
		}
		return response, nil
	}
	service := &fake{calls: map[string]method{"ListSessions": list}}
	client := faked(t, service)
	request := &v1.ListSessionsRequest{AgentId: "agt_1"}
	ids := ""
	for session, err := range client.Sessions(t.Context(), request) {
		ok(t, err)
		ids += session.SessionId + " "
	}
	equal(t, ids, "ses_ ses_n ses_nn ")
	equal(t, request.PageToken, "")
	for range client.Sessions(t.Context(), request) {
		break
	}
	equal(t, len(asked[any](service)), 4)
}

func TestAListThatFailsGivesItsErrorAsTheLast(t *testing.T) {
	service := &fake{calls: map[string]method{
		"ListEvents": refusing(refusal(codes.NotFound, "SESSION_NOT_FOUND"))}}
	var last error
	for event, err := range faked(t, service).Events(t.Context(), &v1.ListEventsRequest{}) {
		equal(t, event == nil, true)
		last = err
	}
	equal(t, errors.Is(last, managedagents.ErrNotFound), true)
}
