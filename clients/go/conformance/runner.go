package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	managedagents "github.com/managedagents/managedagents/clients/go"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

const timeLimit = 60 * time.Second

// scenario is one file of tests/conformance/scenarios.
type scenario struct {
	Name   string
	Agent  object
	Server struct {
		Flags  []string
		Limits map[string]any
	}
	Steps []object
}

// runner takes the steps of one scenario, and gathers its lines.
type runner struct {
	scenario scenario
	server   *ownServer
	client   *managedagents.Client
	names    *names
	lines    []string
	current  map[string]string
	sessions []string
	stream   *stream
	keeping  *keeping
	lastSeq  uint64
}

// play gives the lines of a scenario.
func play(scenario scenario, server *ownServer) (lines []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeLimit)
	defer cancel()
	r := &runner{
		scenario: scenario, server: server, names: newNames(),
		current: map[string]string{"agent_id": "", "session_id": ""},
	}
	if err := r.connect(object{}); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.disconnect()) }()
	err = r.playAll(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		r.say("timeout")
		err = nil
	}
	return r.lines, err
}

// connect makes a client, by default one that asks only once: a scenario tells each refusal.
func (r *runner) connect(given object) (err error) {
	options := []managedagents.Option{managedagents.WithPatience(0)}
	if token, isGiven := given["token"].(string); isGiven {
		options = append(options, managedagents.WithToken(token))
	}
	if seconds, isGiven := given["patience"].(json.Number); isGiven {
		patience, err := time.ParseDuration(seconds.String() + "s")
		if err != nil {
			return err
		}
		options = append(options, managedagents.WithPatience(patience), managedagents.WithConnectTimeout(patience))
	}
	r.client, err = managedagents.Connect(r.server.Address, options...)
	return err
}

func (r *runner) disconnect() error {
	r.hangUp()
	r.leave()
	return r.client.Close()
}

func (r *runner) connectAnew(given object) error {
	if err := r.disconnect(); err != nil {
		return err
	}
	return r.connect(given)
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
	case "keep_following":
		return r.keepFollowing(ctx, given)
	case "run":
		return r.run(ctx, given)
	case "connect":
		return r.connectAnew(given)
	case "kill", "terminate", "stop", "start_again", "by_hand":
		return r.toTheServer(ctx, verb, given)
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
		return r.failed(verb, err)
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
			r.leave()
			r.lastSeq = 0
		}
	}
	return nil
}

func (r *runner) failed(what string, err error) error {
	why, err := r.names.failure(err)
	if err == nil {
		r.say("%s %s", what, why)
	}
	return err
}

func (r *runner) toTheServer(ctx context.Context, verb string, given object) error {
	switch verb {
	case "by_hand":
		if err := r.server.byHand(ctx, given); err != nil {
			return err
		}
		r.say("by_hand %s", given["does"])
		return nil
	case "start_again":
		r.say("start_again")
		return r.server.Restart()
	case "stop":
		r.hangUp()
		r.say("stop")
		return r.server.Kill()
	case "kill":
		r.hangUp()
		if err := r.server.Kill(); err != nil {
			return err
		}
		r.say("kill")
	case "terminate":
		if err := r.terminate(ctx); err != nil {
			return err
		}
	}
	if err := r.server.Restart(); err != nil {
		return err
	}
	return r.connectAnew(object{})
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
	return nil
}
