package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	managedagents "github.com/managedagents/managedagents/clients/go"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

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
		return r.failed("follow", err)
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
	wanted := hasOf(given)
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
			if err := r.failed(fmt.Sprintf("log %s", name), err); err != nil {
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
