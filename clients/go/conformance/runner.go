package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	managedagents "github.com/managedagents/managedagents/clients/go"
	"github.com/managedagents/managedagents/clients/go/internal/server"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

const timeLimit = 20 * time.Second

// scenario is one file of tests/conformance/scenarios.
type scenario struct {
	Name   string
	Agent  object
	Server struct{ Limits map[string]any }
	Steps  []object
}

// runner takes the steps of one scenario, and gathers its lines.
type runner struct {
	scenario scenario
	server   *server.Server
	client   *managedagents.Client
	names    *names
	lines    []string
	current  map[string]string
	sessions []string
	stream   *stream
	lastSeq  uint64
}

// play gives the lines of a scenario.
func play(scenario scenario, server *server.Server) (lines []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeLimit)
	defer cancel()
	r := &runner{
		scenario: scenario, server: server, names: newNames(),
		current: map[string]string{"agent_id": "", "session_id": ""},
	}
	if err := r.connect(); err != nil {
		return nil, err
	}
	defer func() {
		r.hangUp()
		err = errors.Join(err, r.client.Close())
	}()
	err = r.playAll(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		r.say("timeout")
		err = nil
	}
	return r.lines, err
}

// connect makes a client that asks only once: a scenario tells each refusal.
func (r *runner) connect() (err error) {
	r.client, err = managedagents.Connect(r.server.Address, managedagents.WithPatience(0))
	return err
}

func (r *runner) playAll(ctx context.Context) error {
	for _, step := range r.scenario.Steps {
		for verb, given := range step {
			if err := r.step(ctx, verb, r.names.ids(given).(object)); err != nil {
				return fmt.Errorf("%s: %w", verb, err)
			}
		}
	}
	return r.tellLogs(ctx)
}

func (r *runner) say(format string, values ...any) {
	r.lines = append(r.lines, fmt.Sprintf(format, values...))
}

func (r *runner) step(ctx context.Context, verb string, given object) error {
	switch verb {
	case "follow":
		return r.follow(ctx, 0, given)
	case "reconnect":
		return r.follow(ctx, r.lastSeq, given)
	case "wait_for":
		return r.waitFor(ctx, given)
	case "replay":
		return r.replay(ctx)
	case "kill":
		r.hangUp()
		if err := r.server.Kill(); err != nil {
			return err
		}
		r.say("kill")
		return r.startAgain()
	case "run":
		return r.run(ctx, given)
	case "terminate":
		return r.terminate(ctx)
	}
	given, err := r.spellOut(verb, given)
	if err != nil {
		return err
	}
	return r.call(ctx, verb, given)
}

func (r *runner) call(ctx context.Context, verb string, given object) error {
	response, err := calls[verb](r, ctx, given)
	if err != nil {
		return r.refused(verb, err)
	}
	if events, isList := response.(*v1.ListEventsResponse); isList {
		for _, event := range events.Events {
			r.say("%s", r.names.event(event))
		}
		events.Events = nil
	}
	r.say("%s %s", verb, dump(r.names.message(response)))
	switch response := response.(type) {
	case *v1.CreateResponse:
		r.current["agent_id"] = response.AgentId
	case *v1.StartSessionResponse:
		if !slices.Contains(r.sessions, response.SessionId) {
			r.current["session_id"] = response.SessionId
			r.sessions = append(r.sessions, response.SessionId)
			r.hangUp()
			r.lastSeq = 0
		}
	}
	return nil
}

func (r *runner) refused(what string, err error) error {
	why, err := r.names.refusal(err)
	if err == nil {
		r.say("%s %s", what, why)
	}
	return err
}

func (r *runner) terminate(ctx context.Context) error {
	type exit struct {
		code int
		err  error
	}
	stopped := make(chan exit, 1)
	go func() {
		code, err := r.server.Terminate()
		stopped <- exit{code, err}
	}()
	if r.stream != nil {
		if err := r.waitFor(ctx, object{"message": "ended"}); err != nil {
			return err
		}
	}
	end := <-stopped
	if end.err != nil {
		return end.err
	}
	r.say("terminate %d", end.code)
	r.hangUp()
	return r.startAgain()
}

func (r *runner) startAgain() error {
	if err := r.client.Close(); err != nil {
		return err
	}
	if err := r.server.Restart(); err != nil {
		return err
	}
	return r.connect()
}
