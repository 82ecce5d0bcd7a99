package managedagents_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	managedagents "github.com/managedagents/managedagents/clients/go"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// Built-in tools that wait for permission, or run at the client, against a real server.

const (
	asksFirst = `, "permission_policy": {"default": "PERMISSION_MODE_PROMPT"}`
	atClient  = `, "tool_host": "TOOL_HOST_CLIENT"`
)

// shellAgent is a definition with the tool bash, which runs the commands and then says the words, one a turn.
func shellAgent(commands []string, words string, more string) string {
	var calls, responses []string
	for _, command := range commands {
		input := fmt.Sprintf(`{"command": %q}`, command)
		calls = append(calls, fmt.Sprintf(`{"name": "bash", "input_json": %q}`, input))
	}
	for word := range strings.FieldsSeq(words) {
		responses = append(responses, fmt.Sprintf(`{"text": %q}`, word))
	}
	return fmt.Sprintf(`{"name": "test", "tools": [{"bash": {}}], "model": {"scripted": {"responses": [
		{"tool_calls": [%s]}, %s]}}%s}`, strings.Join(calls, ", "), strings.Join(responses, ", "), more)
}

func allow(context.Context, *v1.PendingAction) (managedagents.Decision, error) {
	return managedagents.Decision{Allow: true}, nil
}

type command struct{ Command string }

// here is bash, as this client has it.
var here = managedagents.Tools{"bash": managedagents.Handle(func(_ context.Context, given command) (string, error) {
	return fmt.Sprintf("ran %s here", given.Command), nil
})}

func kindsOf(result *managedagents.RunResult) (kinds []string) {
	for _, event := range result.Events {
		kinds = append(kinds, managedagents.KindOf(event))
	}
	return kinds
}

func TestWhatConfirmAllowsRunsAtTheServerAndWhatItDeniesIsTold(t *testing.T) {
	long(t)
	client := realClient(t)
	sessionID := session(t, client, shellAgent([]string{"echo yes", "echo no"}, "done", asksFirst))
	confirm := func(_ context.Context, action *v1.PendingAction) (managedagents.Decision, error) {
		return managedagents.Decision{Allow: strings.Contains(action.InputJson, "yes"), DenyMessage: "Not this one."}, nil
	}
	result, err := client.Run(t.Context(), sessionID, goOn, managedagents.WithConfirm(confirm))
	ok(t, err)
	equal(t, result.Text, "done")
	told := []string{}
	for _, event := range result.Events {
		if answer := event.GetAgentToolResult(); answer != nil {
			told = append(told, managedagents.TextOf(answer.Content))
		}
	}
	slices.Sort(told)
	equal(t, strings.Join(told, "|"), "Not this one.|yes")
}

func TestWithoutConfirmTheUseIsGivenBack(t *testing.T) {
	long(t)
	client := connect(t, own(t, "--limit", "deadline_grace=0").Address)
	more := asksFirst + `, "custom_tool_timeout": "0.05s"`
	sessionID := session(t, client, shellAgent([]string{"echo yes"}, "done", more))
	result, err := client.Run(t.Context(), sessionID, goOn)
	ok(t, err)
	equal(t, result.StopReason, "requires_action")
	equal(t, len(result.WaitsFor), 1)
}

func TestABuiltInToolAtTheClientIsAnsweredByItsHandler(t *testing.T) {
	client := realClient(t)
	sessionID := session(t, client, shellAgent([]string{"pwd"}, "done", atClient))
	result, err := client.Run(t.Context(), sessionID, goOn, managedagents.WithTools(here))
	ok(t, err)
	equal(t, result.Text, "done")
	for _, event := range result.Events {
		if answer := event.GetUserToolResult(); answer != nil {
			equal(t, managedagents.TextOf(answer.Content), "ran pwd here")
		}
	}
	equal(t, slices.Contains(kindsOf(result), "user.tool_result"), true)
}

func TestAToolAtTheClientThatAsksIsConfirmedAndThenAnswered(t *testing.T) {
	client := realClient(t)
	sessionID := session(t, client, shellAgent([]string{"pwd"}, "done", atClient+asksFirst))
	result, err := client.Run(t.Context(), sessionID, goOn,
		managedagents.WithTools(here), managedagents.WithConfirm(allow))
	ok(t, err)
	equal(t, result.StopReason, "end_turn")
	kinds := slices.DeleteFunc(kindsOf(result), func(kind string) bool { return !strings.HasPrefix(kind, "user.") })
	equal(t, strings.Join(kinds, " "), "user.message user.tool_confirmation user.tool_result")
}

func TestWhatAnEarlierProcessLeftToBeConfirmedIsConfirmedAndAnsweredFirst(t *testing.T) {
	client := realClient(t)
	sessionID := session(t, client, shellAgent([]string{"pwd"}, "first second", atClient+asksFirst))
	userSays(t, client, sessionID, "one")
	until(t, client, sessionID, "agent.tool_use")
	result, err := client.Run(t.Context(), sessionID, goOn,
		managedagents.WithTools(here), managedagents.WithConfirm(allow))
	ok(t, err)
	equal(t, result.Text, "second")
}

func TestAConfirmThatSomebodyElseWasFasterThanHoldsNothingUp(t *testing.T) {
	client := realClient(t)
	sessionID := session(t, client, shellAgent([]string{"pwd"}, "done", atClient+asksFirst))
	stopped := make(chan struct{})
	confirm := func(ctx context.Context, action *v1.PendingAction) (managedagents.Decision, error) {
		defer close(stopped)
		event := managedagents.ConfirmationEvent(action.ToolUseId, managedagents.Decision{Allow: true})
		_, err := client.SendEvent(t.Context(), &v1.SendEventRequest{SessionId: sessionID, Event: event})
		<-ctx.Done()
		return managedagents.Decision{}, err
	}
	result, err := client.Run(t.Context(), sessionID, goOn,
		managedagents.WithTools(here), managedagents.WithConfirm(confirm))
	ok(t, err)
	equal(t, result.Text, "done")
	comes(t, stopped)
}
