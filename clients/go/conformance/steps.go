package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	managedagents "github.com/managedagents/managedagents/clients/go"
)

// caller makes a call with the fields of its request.
type caller func(r *runner, ctx context.Context, fields object) (proto.Message, error)

var calls = map[string]caller{
	"create":        of((*managedagents.Client).Create),
	"start":         of((*managedagents.Client).StartSession),
	"send":          of((*managedagents.Client).SendEvent),
	"answer":        of((*managedagents.Client).SendEvent),
	"confirm":       of((*managedagents.Client).SendEvent),
	"result":        of((*managedagents.Client).SendEvent),
	"interrupt":     of((*managedagents.Client).Interrupt),
	"pause":         of((*managedagents.Client).Pause),
	"resume":        of((*managedagents.Client).Resume),
	"status":        of((*managedagents.Client).Status),
	"archive":       of((*managedagents.Client).Archive),
	"delete":        of((*managedagents.Client).DeleteSession),
	"get_agent":     of((*managedagents.Client).GetAgent),
	"list_agents":   of((*managedagents.Client).ListAgents),
	"update_agent":  of((*managedagents.Client).UpdateAgent),
	"archive_agent": of((*managedagents.Client).ArchiveAgent),
	"get_session":   of((*managedagents.Client).GetSession),
	"list_sessions": of((*managedagents.Client).ListSessions),
	"list_events":   of((*managedagents.Client).ListEvents),
}

type message[Fields any] interface {
	*Fields
	proto.Message
}

func of[Fields any, Request message[Fields], Response proto.Message](
	method func(*managedagents.Client, context.Context, Request, ...grpc.CallOption) (Response, error),
) caller {
	return func(r *runner, ctx context.Context, fields object) (proto.Message, error) {
		request := Request(new(Fields))
		if err := r.fill(request, fields); err != nil {
			return nil, err
		}
		return method(r.client, ctx, request)
	}
}

// fill sets the request's fields. What a step leaves out is the last agent and the last session.
func (r *runner) fill(request proto.Message, fields object) error {
	all := object{}
	for name, id := range r.current {
		if request.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(name)) != nil {
			all[name] = id
		}
	}
	maps.Copy(all, fields)
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return protojson.Unmarshal(text, request)
}

// spellOut turns a step that is written in a short way into the fields of its request.
func (r *runner) spellOut(verb string, given object) (object, error) {
	switch {
	case verb == "create" && given["definition"] == nil:
		given["definition"] = r.scenario.Agent
	case verb == "start" && given["texts"] != nil:
		events := []any{}
		for _, text := range given["texts"].([]any) {
			events = append(events, userMessage(text))
		}
		delete(given, "texts")
		given["initial_events"] = events
	case verb == "send" && given["text"] != nil:
		given["event"] = userMessage(given["text"])
		delete(given, "text")
	case verb == "answer":
		given["event"] = object{"user_custom_tool_result": result("custom_tool_use_id", given)}
	case verb == "result":
		given["event"] = object{"user_tool_result": result("tool_use_id", given)}
	case verb == "confirm":
		given["event"] = object{"user_tool_confirmation": decision(given)}
	case calls[verb] == nil:
		return nil, fmt.Errorf("%s is no step", verb)
	}
	return given, nil
}

func content(text any) []any {
	return []any{object{"text": object{"text": text}}}
}

func userMessage(text any) object {
	return object{"user_message": object{"content": content(text)}}
}

// result is the tool result that a step is short for; it takes what it uses.
func result(idName string, given object) object {
	result := object{idName: given["use"], "content": content(given["text"])}
	if isError, isSet := given["is_error"]; isSet {
		result["is_error"] = isError
	}
	take(given, "use", "text", "is_error")
	return result
}

// decision is the confirmation that a step is short for; it takes what it uses.
func decision(given object) object {
	decided := object{"tool_use_id": given["use"], "decision": "TOOL_CONFIRMATION_DENY"}
	if given["allow"] == true {
		decided["decision"] = "TOOL_CONFIRMATION_ALLOW"
	}
	if message, isSet := given["message"]; isSet {
		decided["deny_message"] = message
	}
	take(given, "use", "allow", "message")
	return decided
}

func take(given object, names ...string) {
	for _, name := range names {
		delete(given, name)
	}
}
