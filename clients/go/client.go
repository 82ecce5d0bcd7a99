// Package managedagents is a client of the managed agents service: declare an agent, start durable sessions of it, send
// events in, follow events out, across cut connections and restarts of the server.
//
//	client, err := managedagents.Connect("127.0.0.1:50051")
//
// The messages and the bare gRPC stubs are in the package managedagentsv1, below managedagents/v1; what is here on top
// of them is thin.
package managedagents

import (
	"context"
	"crypto/tls"
	"iter"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// Version is this client's, told to servers as its user agent.
const Version = "0.1.0"

// gRPC's own bound of 4 MiB on what is received leaves little above a batch of a stream, which is 3 MiB and more.
const maxMessageBytes = 16 << 20

// Client is a client of one managed agents server, for use by any number of goroutines.
//
// The calls are those of the generated stub. Every one that changes something has a request id; where the request has
// none, the client makes one. It is kept over the retries of the call, so that it happens once however often the
// connection breaks. Give one of your own (up to 128 bytes) where the same call may be made again by another process.
//
// What fails gives an *Error, or the error of a context that is over. A call that may pass is asked again by itself.
type Client struct {
	v1.ManagedAgentRuntimeClient

	transport        credentials.TransportCredentials
	token            bearer
	connectTimeout   time.Duration
	patience         time.Duration
	heartbeatTimeout time.Duration

	connection *grpc.ClientConn
	answers    answers
	// Whether the server ever answered.
	heard atomic.Bool
}

// Option sets how a client connects.
type Option func(*Client)

// WithToken sends a bearer token with every call.
func WithToken(token string) Option {
	return func(c *Client) { c.token = bearer(token) }
}

// WithTLS encrypts the connection; &tls.Config{} is a good start. Without it the connection is plain text.
func WithTLS(config *tls.Config) Option {
	return func(c *Client) { c.transport = credentials.NewTLS(config) }
}

// WithConnectTimeout says how long to try a server that has never answered: 5 s unless given.
func WithConnectTimeout(timeout time.Duration) Option {
	return func(c *Client) { c.connectTimeout = timeout }
}

// WithPatience says how long to go on with a server that has answered before, and how long one attempt at a call may
// take: 60 s unless given. 0: each call is made once, and only its context bounds it; a stream that is cut is not
// opened again.
func WithPatience(patience time.Duration) Option {
	return func(c *Client) { c.patience = patience }
}

// WithHeartbeatTimeout says how long a stream may be silent before it counts as cut: 30 s unless given. The server
// gives a sign of life every 10 s.
func WithHeartbeatTimeout(timeout time.Duration) Option {
	return func(c *Client) { c.heartbeatTimeout = timeout }
}

// Connect gives a client of the server at address, host and port. The connection is made by the first call.
func Connect(address string, options ...Option) (*Client, error) {
	c := &Client{
		transport: insecure.NewCredentials(), answers: answers{known: map[useKey]*v1.UserEvent{}},
		connectTimeout: 5 * time.Second, patience: time.Minute, heartbeatTimeout: 30 * time.Second,
	}
	for _, option := range options {
		option(c)
	}
	connection, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(c.transport),
		grpc.WithPerRPCCredentials(c.token),
		grpc.WithUserAgent("managedagents-go/"+Version),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(maxMessageBytes), grpc.MaxCallSendMsgSize(maxMessageBytes)),
		// Asking again is done in one place, here: gRPC's own stops after five attempts, keeps no request of more than
		// 256 KiB, and does not know RetryInfo.
		grpc.WithUnaryInterceptor(c.call),
		grpc.WithDisableRetry(),
		// gRPC waits up to two minutes before it tries an address again; a server that restarts is back sooner.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: firstDelay, Multiplier: delayGrowth, Jitter: 0.2, MaxDelay: longestDelay,
			},
			MinConnectTimeout: c.connectTimeout,
		}),
		// A machine that vanished closes no connection. A follower hears from its server every 10 s, so that a ping
		// goes out only when that is overdue.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
	)
	if err != nil {
		return nil, err
	}
	c.connection, c.ManagedAgentRuntimeClient = connection, v1.NewManagedAgentRuntimeClient(connection)
	return c, nil
}

// Close closes the connection; calls that are under way fail.
func (c *Client) Close() error {
	return c.connection.Close()
}

// Agents goes over the agents from the request's page on, newest first, page by page. An error is the last it gives.
func (c *Client) Agents(ctx context.Context, request *v1.ListAgentsRequest) iter.Seq2[*v1.Agent, error] {
	return pages(ctx, c.ListAgents, request, (*v1.ListAgentsResponse).GetAgents)
}

// Sessions goes over the sessions from the request's page on, newest first, page by page. An error is the last it
// gives.
func (c *Client) Sessions(ctx context.Context, request *v1.ListSessionsRequest) iter.Seq2[*v1.Session, error] {
	return pages(ctx, c.ListSessions, request, (*v1.ListSessionsResponse).GetSessions)
}

// Events goes over the events that are in a session's log now, page by page. An error is the last it gives.
func (c *Client) Events(ctx context.Context, request *v1.ListEventsRequest) iter.Seq2[*v1.SessionEvent, error] {
	return pages(ctx, c.ListEvents, request, (*v1.ListEventsResponse).GetEvents)
}

// bearer is the token that is sent with every call. Empty: none is.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	if b == "" {
		return nil, nil
	}
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// A server without TLS may want a token, too: one behind a proxy that ends TLS, or on this machine.
func (bearer) RequireTransportSecurity() bool { return false }
