package managedagents

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/managedagents/managedagents/clients/go/internal/jsontext"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// Handler answers a tool use. It is given the input that the model wrote, which is JSON, and what it returns is told to
// the model: a text, content blocks, nothing, or anything that encoding/json can write. The message of its error is
// told, too. The context is over when the use is closed, or nobody waits for the answer any more. A handler that does
// not heed it runs to its end, and nobody hears of it.
type Handler func(ctx context.Context, input json.RawMessage) (any, error)

// Tools are handlers by the name of their tool.
type Tools map[string]Handler

// Handle is the Handler of a function whose input is any type that encoding/json can read.
func Handle[Input, Output any](function func(context.Context, Input) (Output, error)) Handler {
	return func(ctx context.Context, input json.RawMessage) (any, error) {
		var given Input
		if err := json.Unmarshal(input, &given); err != nil {
			return nil, err
		}
		return function(ctx, given)
	}
}

type useIDKey struct{}

// ToolUseID is, inside a handler, the id of the tool use that it answers. The same use may come again to another
// process.
func ToolUseID(ctx context.Context) string {
	id, _ := ctx.Value(useIDKey{}).(string)
	return id
}

var errNoJSON = errors.New("no JSON")

// ask lets the handler answer. Its words are the same in every language: the model reads them, and the log keeps them.
func ask(ctx context.Context, action *v1.PendingAction, handler Handler) *v1.UserEvent {
	input := json.RawMessage(cmp.Or(action.InputJson, "{}"))
	if !json.Valid(input) {
		return failed(action, "The input is no JSON.")
	}
	ctx = context.WithValue(ctx, useIDKey{}, action.ToolUseId)
	content, err := beside(ctx, func() ([]*v1.Content, error) {
		result, err := handler(ctx, input)
		if err != nil {
			return nil, err
		}
		return contentOf(result)
	})
	if err == nil {
		return ResultEvent(action, content, false)
	}
	if ctx.Err() != nil {
		return failed(action, "The tool was stopped before it was done; what it did is not known.")
	}
	slog.WarnContext(ctx, "a tool's handler failed", "tool", action.Name, "use", action.ToolUseId, "error", err)
	if errors.Is(err, errNoJSON) {
		return failed(action, "The tool's answer is no JSON.")
	}
	return failed(action, "The tool failed: "+err.Error())
}

func failed(action *v1.PendingAction, words string) *v1.UserEvent {
	return ResultEvent(action, []*v1.Content{Text(words)}, true)
}

// beside runs a function of the caller's, and leaves it to itself when the context is over. Its panic is an error.
func beside[Result any](ctx context.Context, function func() (Result, error)) (Result, error) {
	var result, none Result
	err := errors.New("it ended its goroutine")
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if value := recover(); value != nil {
				err = fmt.Errorf("%v", value)
				slog.ErrorContext(ctx, "a function of the caller's panicked", "error", err, "stack", string(debug.Stack()))
			}
		}()
		result, err = function()
	}()
	select {
	case <-done:
		return result, err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

func contentOf(result any) ([]*v1.Content, error) {
	if result == nil || result == "" {
		return nil, nil
	}
	switch result := result.(type) {
	case string:
		return []*v1.Content{Text(result)}, nil
	case *v1.Content:
		return []*v1.Content{result}, nil
	case []*v1.Content:
		return result, nil
	}
	written, err := jsontext.Write(result)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoJSON, err)
	}
	return []*v1.Content{Text(written)}, nil
}
