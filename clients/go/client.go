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
	"iter"
	"sync/atomic"

	"google.golang.org/grpc"

	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// Version is this client's, told to servers as its user agent.
const Version = "0.1.0"

// Client is a client of one managed agents server, for use by any number of goroutines.
//
// Every call that changes something has a request id; where the request has none, the client makes one. It is kept over
// the retries of the call, so that it happens once however often the connection breaks. Give one of your own (up to 128
// bytes) where the same call may be made again by another process.
//
// What fails gives an *Error, or the error of a context that is over. A call that may pass is asked again by itself.
type Client struct {
	address    string
	settings   settings
	connection *grpc.ClientConn
	stub       v1.ManagedAgentRuntimeClient
	answers    answers
	// Whether the server ever answered.
	heard atomic.Bool
}

// Connect gives a client of the server at address, host and port. The connection is made by the first call.
func Connect(address string, options ...Option) (*Client, error) {
	client := &Client{address: address, settings: defaults()}
	for _, option := range options {
		option(&client.settings)
	}
	connection, err := grpc.NewClient(address, client.settings.dial()...)
	if err != nil {
		return nil, err
	}
	client.connection, client.stub = connection, v1.NewManagedAgentRuntimeClient(connection)
	return client, nil
}

// Close closes the connection; calls that are under way fail.
func (c *Client) Close() error {
	return c.connection.Close()
}

// Create creates an agent.
func (c *Client) Create(ctx context.Context, request *v1.CreateRequest) (*v1.CreateResponse, error) {
	return call(ctx, c, c.stub.Create, request)
}

// StartSession starts a session of an agent. Its log begins with the initial events, in the same write.
func (c *Client) StartSession(ctx context.Context, request *v1.StartSessionRequest) (*v1.StartSessionResponse, error) {
	return call(ctx, c, c.stub.StartSession, request)
}

// SendEvent sends an event. Once it answers, with the event's seq, the event is in the log.
func (c *Client) SendEvent(ctx context.Context, request *v1.SendEventRequest) (*v1.SendEventResponse, error) {
	return call(ctx, c, c.stub.SendEvent, request)
}

// Interrupt stops the turn that runs, and drops the messages that wait where it is told so. The session lives on.
func (c *Client) Interrupt(ctx context.Context, request *v1.InterruptRequest) (*v1.InterruptResponse, error) {
	return call(ctx, c, c.stub.Interrupt, request)
}

// Pause lets nothing new start. It holds until Resume, also across a restart of the server.
func (c *Client) Pause(ctx context.Context, request *v1.PauseRequest) (*v1.PauseResponse, error) {
	return call(ctx, c, c.stub.Pause, request)
}

// Resume ends a pause.
func (c *Client) Resume(ctx context.Context, request *v1.ResumeRequest) (*v1.ResumeResponse, error) {
	return call(ctx, c, c.stub.Resume, request)
}

// Status tells where a session stands, and what it waits for.
func (c *Client) Status(ctx context.Context, request *v1.StatusRequest) (*v1.StatusResponse, error) {
	return call(ctx, c, c.stub.Status, request)
}

// Archive ends a session for good; its log stays readable.
func (c *Client) Archive(ctx context.Context, request *v1.ArchiveRequest) (*v1.ArchiveResponse, error) {
	return call(ctx, c, c.stub.Archive, request)
}

// DeleteSession deletes a session and all its data.
func (c *Client) DeleteSession(
	ctx context.Context, request *v1.DeleteSessionRequest,
) (*v1.DeleteSessionResponse, error) {
	return call(ctx, c, c.stub.DeleteSession, request)
}

// GetAgent gives one agent.
func (c *Client) GetAgent(ctx context.Context, request *v1.GetAgentRequest) (*v1.GetAgentResponse, error) {
	return call(ctx, c, c.stub.GetAgent, request)
}

// UpdateAgent replaces the newest version of an agent, which the request names, by a new one. Sessions keep theirs.
func (c *Client) UpdateAgent(ctx context.Context, request *v1.UpdateAgentRequest) (*v1.UpdateAgentResponse, error) {
	return call(ctx, c, c.stub.UpdateAgent, request)
}

// ArchiveAgent lets an agent take no new sessions.
func (c *Client) ArchiveAgent(ctx context.Context, request *v1.ArchiveAgentRequest) (*v1.ArchiveAgentResponse, error) {
	return call(ctx, c, c.stub.ArchiveAgent, request)
}

// GetSession gives one session.
func (c *Client) GetSession(ctx context.Context, request *v1.GetSessionRequest) (*v1.GetSessionResponse, error) {
	return call(ctx, c, c.stub.GetSession, request)
}

// ListAgents gives one page of agents, newest first; Agents gives all of them.
func (c *Client) ListAgents(ctx context.Context, request *v1.ListAgentsRequest) (*v1.ListAgentsResponse, error) {
	return call(ctx, c, c.stub.ListAgents, request)
}

// ListSessions gives one page of sessions, newest first; Sessions gives all of them.
func (c *Client) ListSessions(ctx context.Context, request *v1.ListSessionsRequest) (*v1.ListSessionsResponse, error) {
	return call(ctx, c, c.stub.ListSessions, request)
}

// ListEvents gives one page of a session's log; Events gives all that is in it now, Follow also what comes.
func (c *Client) ListEvents(ctx context.Context, request *v1.ListEventsRequest) (*v1.ListEventsResponse, error) {
	return call(ctx, c, c.stub.ListEvents, request)
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
