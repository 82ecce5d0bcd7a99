package managedagents_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	managedagents "github.com/managedagents/managedagents/clients/go"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// Against a real server.

// agent is a definition, as JSON: scripted answers, names of custom tools, and more fields, each with a comma before
// it.
func agent(responses string, tools string, more string) string {
	var customs []string
	for name := range strings.FieldsSeq(tools) {
		customs = append(customs, fmt.Sprintf(`{"custom": {"name": %q}}`, name))
	}
	return fmt.Sprintf(`{"name": "test", "model": {"scripted": {"responses": [%s]}}, "tools": [%s]%s}`,
		responses, strings.Join(customs, ", "), more)
}

// using is an answer that calls tools.
func using(tools string) string {
	var calls []string
	for name := range strings.FieldsSeq(tools) {
		calls = append(calls, fmt.Sprintf(`{"name": %q, "input_json": "{\"of\": \"%s\"}"}`, name, name))
	}
	return fmt.Sprintf(`{"text": "wait", "tool_calls": [%s]}`, strings.Join(calls, ", "))
}

type input = map[string]any

func TestARunAnswersToolsAtOnceAndGivesTheLastWords(t *testing.T) {
	client := realClient(t)
	sessionID := session(t, client, agent(using("a b broken unknown")+`, {"text": "done"}`, "a b broken", ""))
	met := make(chan struct{})
	meet := func(meets bool) managedagents.Handler {
		return managedagents.Handle(func(ctx context.Context, given input) (input, error) {
			if meets {
				close(met)
			}
			select {
			case <-met:
				return given, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
	}
	broken := managedagents.Handle(func(context.Context, input) (any, error) { return nil, errors.New("broken") })
	var seen []uint64
	result, err := client.Run(t.Context(), sessionID, goOn,
		managedagents.WithTools(managedagents.Tools{"a": meet(false), "b": meet(true), "broken": broken}),
		managedagents.OnEvent(func(event *v1.SessionEvent) error { seen = append(seen, event.Seq); return nil }))
	ok(t, err)
	equal(t, result.StopReason, "end_turn")
	equal(t, result.Text, "done")
	told := map[string]bool{}
	for index, event := range result.Events {
		equal(t, event.Seq, uint64(index+1))
		equal(t, event.Seq, seen[index])
		if answer := event.GetUserCustomToolResult(); answer != nil {
			told[managedagents.TextOf(answer.Content)] = answer.IsError
		}
	}
	equal(t, fmt.Sprint(told), fmt.Sprint(map[string]bool{
		`{"of":"a"}`: false, `{"of":"b"}`: false, "The tool failed: broken": true}))
}

func TestAUseThatAnEarlierProcessLeftOpenIsAnsweredFirst(t *testing.T) {
	client := realClient(t)
	sessionID := session(t, client, agent(using("a")+`, {"text": "first"}, {"text": "second"}`, "a", ""))
	userSays(t, client, sessionID, "one")
	until(t, client, sessionID, "agent.custom_tool_use")
	result, err := client.Run(t.Context(), sessionID, goOn, managedagents.WithTools(managedagents.Tools{"a": nothing}))
	ok(t, err)
	equal(t, result.Text, "second")
}

func TestTwoRunsThatSeeTheSameUseCallItsHandlerOnce(t *testing.T) {
	client := realClient(t)
	sessionID := session(t, client, agent(using("a")+`, {"text": "first"}, {"text": "second"}`, "a", ""))
	calls := make(chan struct{}, 10)
	proceed := make(chan struct{})
	tools := managedagents.WithTools(managedagents.Tools{
		"a": managedagents.Handle(func(context.Context, input) (any, error) {
			calls <- struct{}{}
			<-proceed
			return "ok", nil
		})})
	run := func() (*managedagents.RunResult, error) { return client.Run(t.Context(), sessionID, goOn, tools) }
	first := beside(run)
	comes(t, calls)
	second := beside(run)
	waitForMessages(t, client, sessionID, 2)
	close(proceed)
	for _, running := range []<-chan outcome[*managedagents.RunResult]{first, second} {
		ran := comes(t, running)
		ok(t, ran.err)
		equal(t, ran.value.StopReason, "end_turn")
	}
	equal(t, len(calls), 0)
}

// waitForMessages follows a session until it has so many messages.
func waitForMessages(t *testing.T, client *managedagents.Client, sessionID string, count int) {
	t.Helper()
	for _, err := range client.Follow(sessionID, 0, managedagents.Kinds("user.message")).Events(t.Context()) {
		ok(t, err)
		if count--; count == 0 {
			return
		}
	}
}

func TestAUseIsAnsweredAfterItsDeadline(t *testing.T) {
	long(t)
	client := connect(t, own(t, "--limit", "deadline_grace=0").Address)
	quick := `, "custom_tool_timeout": "0.2s"`
	sessionID := session(t, client, agent(using("late")+`, {"text": "done"}`, "late", quick))
	waited := make(chan struct{})
	late := managedagents.Handle(func(context.Context, input) (string, error) { <-waited; return "ok", nil })
	onEvent := func(event *v1.SessionEvent) error {
		if event.GetStatusIdle().GetStopReason().GetRequiresAction() != nil {
			close(waited)
		}
		return nil
	}
	result, err := client.Run(t.Context(), sessionID, goOn,
		managedagents.WithTools(managedagents.Tools{"late": late}), managedagents.OnEvent(onEvent))
	ok(t, err)
	equal(t, result.StopReason, "end_turn")
	equal(t, result.Text, "done")
}

func TestAnInterruptStopsTheHandlerAndEndsTheRun(t *testing.T) {
	client := realClient(t)
	sessionID := session(t, client, agent(using("a")+`, {"text": "done"}`, "a", ""))
	stopped := make(chan struct{})
	forever := managedagents.Handle(func(ctx context.Context, _ input) (any, error) {
		defer close(stopped)
		if _, err := client.Interrupt(ctx, &v1.InterruptRequest{SessionId: sessionID}); err != nil && ctx.Err() == nil {
			return nil, err
		}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	result, err := client.Run(t.Context(), sessionID, goOn, managedagents.WithTools(managedagents.Tools{"a": forever}))
	ok(t, err)
	equal(t, result.StopReason, "interrupted")
	comes(t, stopped)
}

func TestADroppedMessageEndsItsRun(t *testing.T) {
	client := realClient(t)
	sessionID := session(t, client, agent(`{"text": "slow", "delay": "60s"}`, "", ""))
	userSays(t, client, sessionID, "one")
	running := beside(func() (*managedagents.RunResult, error) { return client.Run(t.Context(), sessionID, goOn) })
	waitForMessages(t, client, sessionID, 2)
	_, err := client.Interrupt(t.Context(), &v1.InterruptRequest{SessionId: sessionID, DropQueued: true})
	ok(t, err)
	ran := comes(t, running)
	ok(t, ran.err)
	equal(t, ran.value.StopReason, "dropped")
}

func TestASessionThatIsDeletedEndsItsRunsAndFollows(t *testing.T) {
	client := realClient(t)
	sessionID := session(t, client, agent(`{"text": "slow", "delay": "60s"}`, "", ""))
	follow := client.Follow(sessionID, 0)
	following := beside(func() ([]uint64, error) { return seqs(t.Context(), follow) })
	running := beside(func() (*managedagents.RunResult, error) { return client.Run(t.Context(), sessionID, goOn) })
	until(t, client, sessionID, "status.running")
	_, err := client.DeleteSession(t.Context(), &v1.DeleteSessionRequest{SessionId: sessionID})
	ok(t, err)
	ran := comes(t, running)
	ok(t, ran.err)
	equal(t, ran.value.StopReason, "deleted")
	ok(t, comes(t, following).err)
	equal(t, follow.Ended().Reason, v1.StreamEndReason_STREAM_END_REASON_DELETED)
	_, err = client.Status(t.Context(), &v1.StatusRequest{SessionId: sessionID})
	equal(t, errors.Is(err, managedagents.ErrNotFound), true)
}

func TestEveryCallOfTheClientWorks(t *testing.T) {
	client, ctx := realClient(t), t.Context()
	created, err := client.Create(ctx, &v1.CreateRequest{
		Definition: definition(t, agent(`{"text": "hi"}`, "", `, "metadata": {"of": "every call"}`))})
	ok(t, err)
	got, err := client.GetAgent(ctx, &v1.GetAgentRequest{AgentId: created.AgentId})
	ok(t, err)
	updated, err := client.UpdateAgent(ctx, &v1.UpdateAgentRequest{
		AgentId: created.AgentId, Version: 1, Definition: got.Agent.Definition})
	ok(t, err)
	equal(t, updated.Version, 2)
	ours := &v1.ListAgentsRequest{Metadata: map[string]string{"of": "every call"}}
	agents, err := client.ListAgents(ctx, ours)
	ok(t, err)
	equal(t, agents.Agents[0].Version, 2)
	started, err := client.StartSession(ctx, &v1.StartSessionRequest{
		AgentId: created.AgentId, InitialEvents: []*v1.UserEvent{goOn}, Metadata: map[string]string{"s": "1"}})
	ok(t, err)
	sessionID := started.SessionId
	_, err = client.Pause(ctx, &v1.PauseRequest{SessionId: sessionID})
	ok(t, err)
	status, err := client.Status(ctx, &v1.StatusRequest{SessionId: sessionID})
	ok(t, err)
	equal(t, status.Paused, true)
	_, err = client.Resume(ctx, &v1.ResumeRequest{SessionId: sessionID})
	ok(t, err)
	result, err := client.Run(ctx, sessionID, goOn)
	ok(t, err)
	equal(t, result.Text, "hi")
	one, err := client.GetSession(ctx, &v1.GetSessionRequest{SessionId: sessionID})
	ok(t, err)
	equal(t, one.Session.Metadata["s"], "1")
	for session, err := range client.Sessions(ctx, &v1.ListSessionsRequest{AgentId: created.AgentId}) {
		ok(t, err)
		equal(t, session.SessionId, sessionID)
	}
	var listed []uint64
	for event, err := range client.Events(ctx, &v1.ListEventsRequest{SessionId: sessionID, FromSeq: 1, PageSize: 2}) {
		ok(t, err)
		listed = append(listed, event.Seq)
	}
	equal(t, uint64(len(listed)), one.Session.HeadSeq-1)
	equal(t, listed[0], 2)
	equal(t, slices.IsSorted(listed), true)
	archived, err := client.Archive(ctx, &v1.ArchiveRequest{SessionId: sessionID})
	ok(t, err)
	equal(t, archived.Seq, one.Session.HeadSeq+1)
	_, err = client.SendEvent(ctx, &v1.SendEventRequest{SessionId: sessionID, Event: goOn})
	equal(t, errors.Is(err, managedagents.ErrSessionTerminal), true)
	_, err = client.ArchiveAgent(ctx, &v1.ArchiveAgentRequest{AgentId: created.AgentId})
	ok(t, err)
	for range client.Agents(ctx, ours) {
		t.Error("an archived agent is listed")
	}
}

func TestDeltasJoinToTheTextThatFollows(t *testing.T) {
	client := realClient(t)
	const words = "one two three four five six seven"
	sessionID := session(t, client, agent(fmt.Sprintf(`{"text": %q, "delay": "0.5s"}`, words), "", ""))
	userSays(t, client, sessionID, "go")
	told := ""
	for item, err := range client.Follow(sessionID, 0).Items(t.Context()) {
		ok(t, err)
		told += item.Delta.GetText()
		if item.Event.GetAgentMessage() != nil {
			break
		}
	}
	equal(t, told != "", true)
	equal(t, strings.HasPrefix(words, told), true)
}

func TestASessionWorksUntilItsOutcomeIsMet(t *testing.T) {
	client := realClient(t)
	sessionID := session(t, client, `{"name": "test", "model": {"scripted": {
		"responses": [{"text": "draft"}, {"text": "story"}],
		"grader": [{"reason": "it has no end"}, {"met": true}]}}}`)
	result, err := client.Run(t.Context(), sessionID, managedagents.OutcomeEvent("a story with an end", 5))
	ok(t, err)
	equal(t, result.StopReason, "completed")
	equal(t, result.Text, "story")
	equal(t, result.Events[0].GetUserDefineOutcome().GetMaxIterations(), 5)
	equal(t, result.Usage.Requests, 4)
}
