package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

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
		scenario: scenario, server: server, names: newNames(), current: map[string]string{"agent_id": "", "session_id": ""},
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

// follow opens a stream in the place of the one before, and reads its first message.
func (r *runner) follow(ctx context.Context, fromSeq uint64, given object) error {
	r.hangUp()
	request := &v1.StreamEventsRequest{FromSeq: &fromSeq}
	if err := r.fillOver(request, given); err != nil {
		return err
	}
	r.stream = open(r.client.StreamEvents(ctx, request))
	item, err := r.stream.next()
	if err != nil {
		return r.refused("follow", err)
	}
	opened, isOpened := item.message.(*v1.StreamOpened)
	if !isOpened {
		return errors.New("the first message of the stream is not opened")
	}
	r.say("follow %s", r.names.stable(opened.LogId, "logId"))
	return nil
}

// fillOver sets fields of a request that has some.
func (r *runner) fillOver(request proto.Message, given object) error {
	more := request.ProtoReflect().New().Interface()
	if err := r.fill(more, given); err != nil {
		return err
	}
	proto.Merge(request, more)
	return nil
}

func (r *runner) hangUp() {
	if r.stream != nil {
		r.stream.stop()
	}
	r.stream = nil
}

func (r *runner) waitFor(ctx context.Context, given object) error {
	if r.stream == nil {
		if err := r.follow(ctx, 0, object{}); err != nil {
			return err
		}
	}
	wanted := given["has"]
	if wanted == nil {
		wanted = object{}
	}
	for {
		item, err := r.stream.next()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			r.say("cut")
			return nil
		}
		if event, isEvent := item.message.(*v1.SessionEvent); isEvent {
			r.lastSeq = event.Seq
			r.say("%s", r.names.event(event))
			if managedagents.KindOf(event) == given["kind"] && has(r.names.payload(event), wanted) {
				return nil
			}
			continue
		}
		if item.kind != "ended" && item.kind != given["message"] {
			continue // Nothing of it is named: whether it came is a matter of chance.
		}
		said := r.names.message(item.message)
		if item.kind == "ended" || has(said, wanted) {
			if item.kind == "delta" { // How much of the answer is in it is a matter of chance.
				said = object{"attempt": said["attempt"], "responseId": said["responseId"]}
			}
			r.say("%s %s", item.kind, dump(said))
			return nil
		}
	}
}

// replay: from every position what comes is the rest of the log.
func (r *runner) replay(ctx context.Context) error {
	log, err := r.log(ctx, r.current["session_id"])
	if err != nil {
		return err
	}
	for start := range len(log) + 1 {
		lines, err := r.upToTheHead(ctx, uint64(start))
		if err != nil {
			return err
		}
		if !slices.Equal(lines, log[start:]) {
			r.say("replay differs from %d", start)
		}
	}
	r.say("replay %d events", len(log))
	return nil
}

func (r *runner) upToTheHead(ctx context.Context, fromSeq uint64) (lines []string, err error) {
	request := &v1.StreamEventsRequest{SessionId: r.current["session_id"], FromSeq: &fromSeq}
	for message, err := range r.client.StreamEvents(ctx, request) {
		if err != nil {
			return nil, err
		}
		for _, event := range message.GetBatch().GetEvents() {
			lines = append(lines, r.names.event(event))
		}
		if message.GetCaughtUp() != nil {
			break
		}
	}
	return lines, nil
}

func (r *runner) log(ctx context.Context, sessionID string) (lines []string, err error) {
	request := &v1.ListEventsRequest{SessionId: sessionID, PageSize: 1000}
	for event, err := range r.client.Events(ctx, request) {
		if err != nil {
			return nil, err
		}
		lines = append(lines, r.names.event(event))
	}
	return lines, nil
}

// tellLogs tells how many events each session's log has in the end, and those that were not told before.
func (r *runner) tellLogs(ctx context.Context) error {
	for _, sessionID := range r.sessions {
		name := r.names.stable(sessionID, "")
		log, err := r.log(ctx, sessionID)
		if err != nil {
			if err := r.refused(fmt.Sprintf("log %s", name), err); err != nil {
				return err
			}
			continue
		}
		told := slices.Clone(r.lines)
		r.say("log %s %d events", name, len(log))
		for _, line := range log {
			if !slices.Contains(told, line) {
				r.lines = append(r.lines, line)
			}
		}
	}
	return nil
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

// stream gives events one by one, and whole messages of the other kinds.
type stream struct {
	pull   func() (*v1.StreamEventsResponse, error, bool)
	stop   func()
	unread []item
}

type item struct {
	kind    string
	message proto.Message
}

var errClosed = errors.New("the stream closed")

func open(messages iter.Seq2[*v1.StreamEventsResponse, error]) *stream {
	pull, stop := iter.Pull2(messages)
	return &stream{pull: pull, stop: stop}
}

func (s *stream) next() (item, error) {
	for len(s.unread) == 0 {
		message, err, isThere := s.pull()
		if !isThere {
			return item{}, errClosed
		}
		if err != nil {
			return item{}, err
		}
		if message.GetBatch() != nil {
			for _, event := range message.GetBatch().Events {
				s.unread = append(s.unread, item{"event", event})
			}
			continue
		}
		reflected := message.ProtoReflect()
		field := reflected.WhichOneof(reflected.Descriptor().Oneofs().ByName("message"))
		if field != nil {
			s.unread = append(s.unread, item{string(field.Name()), reflected.Get(field).Message().Interface()})
		}
	}
	first := s.unread[0]
	s.unread = s.unread[1:]
	return first, nil
}
