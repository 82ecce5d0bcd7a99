package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	managedagents "github.com/managedagents/managedagents/clients/go"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// run sends a message through the client's Run, and tells what came of it.
func (r *runner) run(ctx context.Context, given object) error {
	running := ctx
	if within, isSet := given["within"]; isSet {
		seconds, err := within.(json.Number).Float64()
		if err != nil {
			return err
		}
		var cancel context.CancelFunc
		running, cancel = context.WithTimeout(ctx, time.Duration(seconds*float64(time.Second)))
		defer cancel()
	}
	sessionID, isGiven := given["session_id"].(string)
	if !isGiven {
		sessionID = r.current["session_id"]
	}
	message := managedagents.UserMessage(given["text"].(string))
	result, err := r.client.Run(running, sessionID, message, runOptions(given)...)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded) && running.Err() != nil:
		r.say("run gave up")
		return nil
	case err != nil:
		return r.failed("run", err)
	}
	for _, event := range result.Events {
		r.say("%s", r.names.event(event))
	}
	said := object{"stopReason": result.StopReason, "text": result.Text}
	if len(result.WaitsFor) > 0 {
		waitsFor := []any{}
		for _, use := range result.WaitsFor {
			waitsFor = append(waitsFor, use)
		}
		said["waitsFor"] = waitsFor
	}
	if result.Error != nil {
		said["error"] = result.Error.Code.String()
	}
	r.say("run %s", dump(r.names.stable(said, "")))
	return nil
}

// runOptions are the handlers and the decision that a step is short for.
func runOptions(given object) []managedagents.RunOption {
	tools := managedagents.Tools{}
	handlers, _ := given["tools"].(object)
	for name, told := range handlers {
		tools[name] = handler(told.(object))
	}
	options := []managedagents.RunOption{managedagents.WithTools(tools)}
	if given["confirm"] == nil {
		return options
	}
	decision := managedagents.Decision{Allow: given["confirm"] == true}
	decision.DenyMessage, _ = given["confirm"].(string)
	confirm := func(context.Context, *v1.PendingAction) (managedagents.Decision, error) { return decision, nil }
	return append(options, managedagents.WithConfirm(confirm))
}

func handler(told object) managedagents.Handler {
	return func(ctx context.Context, _ json.RawMessage) (any, error) {
		if words, fails := told["fails"].(string); fails {
			return nil, errors.New(words)
		}
		if told["hangs"] == true {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		if told["returns_no_json"] == true {
			return make(chan int), nil
		}
		return told["returns"], nil
	}
}
