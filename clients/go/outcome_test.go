package managedagents_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	managedagents "github.com/managedagents/managedagents/clients/go"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// Runs of an outcome: first against a service that says what a session would say, then against a real one.

func judged(turn uint64, met bool) *v1.SessionEvent {
	judged := &v1.OutcomeEvaluated{Met: met}
	return event(turn, &v1.SessionEvent{Payload: &v1.SessionEvent_OutcomeEvaluated{OutcomeEvaluated: judged}})
}

func defined() *v1.SessionEvent {
	defined := managedagents.OutcomeEvent("good", 0).GetUserDefineOutcome()
	return event(1, &v1.SessionEvent{Payload: &v1.SessionEvent_UserDefineOutcome{UserDefineOutcome: defined}})
}

func running(turn uint64) *v1.SessionEvent {
	return event(turn, &v1.SessionEvent{Payload: &v1.SessionEvent_StatusRunning{StatusRunning: &v1.StatusRunning{}}})
}

func completed() *v1.SessionEvent {
	return &v1.SessionEvent{Payload: &v1.SessionEvent_StatusCompleted{StatusCompleted: &v1.StatusCompleted{}}}
}

func works(t *testing.T, events ...*v1.SessionEvent) *managedagents.RunResult {
	t.Helper()
	result, err := faked(t, telltale(events...)).Run(t.Context(), "ses_1", managedagents.OutcomeEvent("good", 0))
	ok(t, err)
	return result
}

func TestARunOfAnOutcomeEndsWhereTheOutcomeDoes(t *testing.T) {
	archived := &v1.SessionEvent{Payload: &v1.SessionEvent_StatusArchived{StatusArchived: &v1.StatusArchived{}}}
	notMet := &v1.StopReason{Reason: &v1.StopReason_MaxOutcomeIterations{}}
	refused := &v1.StopReason{Reason: &v1.StopReason_Refusal{}}
	interrupted := &v1.StopReason{Reason: &v1.StopReason_Interrupted{}}
	dropped := &v1.StopReason{Reason: &v1.StopReason_Interrupted{
		Interrupted: &v1.Interrupted{DroppedSeqs: []uint64{1}}}}
	for _, one := range []struct {
		about, reason string
		seqs          []uint64
		events        []*v1.SessionEvent
	}{
		{"met at the second", "completed", []uint64{1, 2, 3, 4, 5}, []*v1.SessionEvent{
			defined(), running(1), judged(1, false), agentSays(3, "rsp_2", "better"), judged(3, true), completed()}},
		{"not met", "max_outcome_iterations", []uint64{1, 2, 3, 4}, []*v1.SessionEvent{
			defined(), running(1), judged(1, false), idle(1, notMet)}},
		{"a message within it, and what that led to is judged", "refusal", []uint64{1, 2, 3, 5, 6}, []*v1.SessionEvent{
			defined(), running(1), idle(1, endTurn), agentSays(9, "rsp_9", "to you"), judged(9, false),
			idle(5, refused)}},
		{"an interrupt of another turn", "interrupted", []uint64{1, 2, 3}, []*v1.SessionEvent{
			defined(), running(1), judged(1, false), idle(9, endTurn), idle(9, interrupted)}},
		{"another turn that waits", "archived", []uint64{1, 2, 3, 5}, []*v1.SessionEvent{
			defined(), running(1), judged(1, false), idle(9, requiresAction("use_5")), judged(3, true), archived}},
		{"dropped before it began", "dropped", []uint64{1}, []*v1.SessionEvent{
			defined(), idle(9, interrupted), idle(9, dropped)}},
	} {
		t.Run(one.about, func(t *testing.T) {
			result := works(t, one.events...)
			equal(t, result.StopReason, one.reason)
			var seqs []uint64
			for _, event := range result.Events {
				seqs = append(seqs, event.Seq)
			}
			if !slices.Equal(seqs, one.seqs) {
				t.Errorf("its events are %v, should be %v", seqs, one.seqs)
			}
		})
	}
}

func TestARunOfAnOutcomeSumsUpWhatItsTurnsCost(t *testing.T) {
	cost := func(tokens int64) *v1.ModelResponse {
		usage := &v1.Usage{Requests: 1, OutputTokens: tokens, ModelTime: durationpb.New(2 * time.Second)}
		return &v1.ModelResponse{Usage: usage}
	}
	says, verdict, theirs := agentSays(1, "rsp_1", "done"), judged(1, true), agentSays(9, "rsp_9", "hello")
	says.Response, verdict.Response, theirs.Response = cost(5), cost(0), cost(7)
	result := works(t, defined(), running(1), says, theirs, verdict, completed())
	equal(t, result.Text, "done")
	equal(t, result.Usage.Requests, 2)
	equal(t, result.Usage.OutputTokens, 5)
	equal(t, result.Usage.ModelTime.AsDuration(), 4*time.Second)
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
