package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	managedagents "github.com/managedagents/managedagents/clients/go"
	"github.com/managedagents/managedagents/clients/go/internal/jsontext"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

type object = map[string]any

// Values under these keys are ids; they get a name that begins so.
var named = map[string]string{
	"agentId":         "agt",
	"sessionId":       "ses",
	"customToolUseId": "use",
	"toolUseId":       "use",
	"responseId":      "rsp",
	"logId":           "log",
	"log_id":          "log",
	"nextPageToken":   "tok",
}

var starred = []string{
	"createTime", "updateTime", "archiveTime", "deadline", "wakeTime", "delay", "pausedFor", "message",
	"error_id",
}

// What the client finds by itself, where no server gave a reason.
var failures = []struct {
	err  error
	name string
}{
	{managedagents.ErrNoAnswer, "no_answer"},
	{managedagents.ErrDeadlineExceeded, "deadline_exceeded"},
	{managedagents.ErrNotThisService, "not_this_service"},
	{managedagents.ErrPromiseBroken, "promise_broken"},
}

// names knows ids by their names, in the order in which they were first seen.
type names struct {
	nameOf map[string]string
	idOf   map[string]string
	counts map[string]int
}

func newNames() *names {
	return &names{nameOf: map[string]string{}, idOf: map[string]string{}, counts: map[string]int{}}
}

// stable is the value, which stands under the key, with names for ids and stars for what changes from run to run.
func (n *names) stable(value any, key string) any {
	switch value := value.(type) {
	case object:
		result := object{}
		for _, name := range sortedKeys(value) {
			result[name] = n.stable(value[name], name)
		}
		return result
	case []any:
		result := make([]any, len(value))
		for index, item := range value {
			result[index] = n.stable(item, key)
		}
		return result
	case string:
		if slices.Contains(starred, key) {
			return "*"
		}
		return n.name(value, key)
	}
	return value
}

func (n *names) name(value, key string) string {
	if name, isKnown := n.nameOf[value]; isKnown {
		return name
	}
	prefix, isID := named[key]
	if !isID {
		return value
	}
	n.counts[prefix]++
	name := fmt.Sprintf("%s#%d", prefix, n.counts[prefix])
	n.nameOf[value], n.idOf[name] = name, value
	return name
}

// ids is the other way: what a step says, with ids for names.
func (n *names) ids(value any) any {
	switch value := value.(type) {
	case object:
		result := object{}
		for name, item := range value {
			result[name] = n.ids(item)
		}
		return result
	case []any:
		result := make([]any, len(value))
		for index, item := range value {
			result[index] = n.ids(item)
		}
		return result
	case string:
		if id, isName := n.idOf[value]; isName {
			return id
		}
	}
	return value
}

func (n *names) message(message proto.Message) object {
	return n.stable(parsed(managedagents.Must(protojson.Marshal(message))), "").(object)
}

func (n *names) event(event *v1.SessionEvent) string {
	rest := n.message(event)
	for _, name := range []string{"seq", "turn", "createTime"} {
		delete(rest, name)
	}
	return fmt.Sprintf("event %d %s turn=%d %s", event.Seq, managedagents.KindOf(event), event.Turn, dump(rest))
}

// payload is what the event's kind holds.
func (n *names) payload(event *v1.SessionEvent) object {
	reflected := event.ProtoReflect()
	field := reflected.WhichOneof(reflected.Descriptor().Oneofs().ByName("payload"))
	return n.message(reflected.Get(field).Message().Interface())
}

// failure is what follows the verb of a call that failed. An error that is no such failure is given back.
func (n *names) failure(err error) (string, error) {
	var why *managedagents.Error
	if !errors.As(err, &why) {
		return "", err
	}
	if why.Reason == "" {
		for _, failure := range failures {
			if errors.Is(why, failure.err) {
				return "failed " + failure.name, nil
			}
		}
		return "", err
	}
	fields, metadata := []any{}, object{}
	for _, violation := range why.Violations {
		fields = append(fields, violation.Field)
	}
	for name, value := range why.Metadata {
		metadata[name] = value
	}
	said := object{"fields": fields, "metadata": metadata, "retry": why.RetryAfter != nil}
	return fmt.Sprintf("refused %s %s %s", code.Code(why.Code), why.Reason, dump(n.stable(said, ""))), nil
}

// has tells whether every field that is wanted is there; others may be, too.
func has(said, wanted any) bool {
	fields, isObject := wanted.(object)
	there, isThere := said.(object)
	if !isObject || !isThere {
		return reflect.DeepEqual(said, wanted)
	}
	for name, value := range fields {
		if item, isSet := there[name]; !isSet || !has(item, value) {
			return false
		}
	}
	return true
}

// parsed is a JSON text as values, numbers as they are written.
func parsed(text []byte) any {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		panic(fmt.Sprintf("no JSON: %s", err))
	}
	return value
}

// dump is a value as the lines have it.
func dump(value any) string {
	return managedagents.Must(jsontext.Write(value))
}

func sortedKeys(value object) []string {
	keys := make([]string, 0, len(value))
	for key := range value {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
