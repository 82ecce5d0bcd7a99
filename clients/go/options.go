package managedagents

import (
	"context"
	"crypto/tls"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// gRPC's own bound of 4 MiB on what is received leaves little above a batch of a stream, which is 3 MiB and more.
const maxMessageBytes = 16 << 20

// Option sets how a client connects.
type Option func(*settings)

type settings struct {
	token            string
	tls              *tls.Config
	connectTimeout   time.Duration
	patience         time.Duration
	heartbeatTimeout time.Duration
}

func defaults() settings {
	return settings{connectTimeout: 5 * time.Second, patience: time.Minute, heartbeatTimeout: 30 * time.Second}
}

// WithToken sends a bearer token with every call.
func WithToken(token string) Option {
	return func(s *settings) { s.token = token }
}

// WithTLS encrypts the connection; &tls.Config{} is a good start. Without it the connection is plain text.
func WithTLS(config *tls.Config) Option {
	return func(s *settings) { s.tls = config }
}

// WithConnectTimeout says how long to try a server that has never answered: 5 s unless given.
func WithConnectTimeout(timeout time.Duration) Option {
	return func(s *settings) { s.connectTimeout = timeout }
}

// WithPatience says how long to go on with a server that has answered before, and how long one attempt at a call may
// take: 60 s unless given. 0: each call is made once, and only its context bounds it; a stream that is cut is not
// opened again.
func WithPatience(patience time.Duration) Option {
	return func(s *settings) { s.patience = patience }
}

// WithHeartbeatTimeout says how long a stream may be silent before it counts as cut: 30 s unless given. The server
// gives a sign of life every 10 s.
func WithHeartbeatTimeout(timeout time.Duration) Option {
	return func(s *settings) { s.heartbeatTimeout = timeout }
}

func (s settings) dial() []grpc.DialOption {
	transport := insecure.NewCredentials()
	if s.tls != nil {
		transport = credentials.NewTLS(s.tls)
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithUserAgent("managedagents-go/" + Version),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(maxMessageBytes), grpc.MaxCallSendMsgSize(maxMessageBytes)),
		// Asking again is done in one place, call.go: gRPC's own stops after five attempts, keeps no request of more
		// than 256 KiB, and does not know RetryInfo.
		grpc.WithDisableRetry(),
		// gRPC waits up to two minutes before it tries an address again; a server that restarts is back sooner.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: firstDelay, Multiplier: delayGrowth, Jitter: 0.2, MaxDelay: longestDelay,
			},
			MinConnectTimeout: s.connectTimeout,
		}),
		// A machine that vanished closes no connection. A follower hears from its server every 10 s, so that a ping
		// goes out only when that is overdue.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
	}
	if s.token != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearer(s.token)))
	}
	return options
}

type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// A server without TLS may want a token, too: one behind a proxy that ends TLS, or on this machine.
func (bearer) RequireTransportSecurity() bool { return false }
