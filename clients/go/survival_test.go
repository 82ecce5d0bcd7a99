package managedagents_test

import (
	"context"
	"strings"
	"testing"

	managedagents "github.com/managedagents/managedagents/clients/go"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// Servers that are killed and answers that are lost.

func TestARunAndAFollowGoOnOverAKilledServer(t *testing.T) {
	long(t)
	server := own(t)
	client := connect(t, server.Address)
	sessionID := session(t, client, agent(using("slow")+`, {"text": "done", "delay": "1s"}`, "slow", ""))
	atWork, proceed := make(chan string, 10), make(chan struct{})
	slow := managedagents.Handle(func(ctx context.Context, _ input) (string, error) {
		atWork <- managedagents.ToolUseID(ctx)
		<-proceed
		return "ok", nil
	})
	following := beside(func() ([]uint64, error) { return seqs(t.Context(), client.Follow(sessionID, 0)) })
	running := beside(func() (*managedagents.RunResult, error) {
		return client.Run(t.Context(), sessionID, goOn, managedagents.WithTools(managedagents.Tools{"slow": slow}))
	})
	equal(t, strings.HasPrefix(comes(t, atWork), "use_"), true)
	ok(t, server.Kill())
	close(proceed)
	ok(t, server.Restart())
	until(t, client, sessionID, "user.custom_tool_result")
	ok(t, server.Kill())
	ok(t, server.Restart())
	ran := comes(t, running)
	ok(t, ran.err)
	equal(t, ran.value.StopReason, "end_turn")
	equal(t, ran.value.Text, "done")
	equal(t, len(atWork), 0)
	last, err := client.Archive(t.Context(), &v1.ArchiveRequest{SessionId: sessionID})
	ok(t, err)
	followed := comes(t, following)
	ok(t, followed.err)
	equal(t, len(followed.value), int(last.Seq))
	for index, seq := range followed.value {
		equal(t, seq, uint64(index+1))
	}
}

func TestAnAnswerThatIsLostOnTheWayIsAskedForAgainAndTheCallHappensOnce(t *testing.T) {
	direct := realClient(t)
	sessionID := session(t, direct, agent(`{"text": "hi"}`, "", ""))
	server, err := shared()
	ok(t, err)
	relay := startRelay(t, server.Address)
	client := connect(t, relay.address)
	_, err = client.Status(t.Context(), &v1.StatusRequest{SessionId: sessionID})
	ok(t, err)
	relay.swallowAnswers()
	sending := beside(func() (*v1.SendEventResponse, error) {
		return client.SendEvent(t.Context(), &v1.SendEventRequest{SessionId: sessionID, Event: goOn})
	})
	until(t, direct, sessionID, "user.message")
	relay.cut()
	sent := comes(t, sending)
	ok(t, sent.err)
	equal(t, sent.value.Seq, 1)
	messages := 0
	for _, event := range until(t, direct, sessionID, "status.idle") {
		if event.GetUserMessage() != nil {
			messages++
		}
	}
	equal(t, messages, 1)
}
