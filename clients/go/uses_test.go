package managedagents_test

import (
	"context"
	"encoding/json"
	"testing"

	managedagents "github.com/managedagents/managedagents/clients/go"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// What a tool use is, and what is done about those that an earlier turn left open.

const (
	wantsConfirmation = v1.PendingActionKind_PENDING_ACTION_KIND_TOOL_CONFIRMATION
	wantsToolResult   = v1.PendingActionKind_PENDING_ACTION_KIND_TOOL_RESULT
	wantsCustomResult = v1.PendingActionKind_PENDING_ACTION_KIND_CUSTOM_TOOL_RESULT
)

func TestAToolUseIsWhatItsEventSays(t *testing.T) {
	mcp := &v1.AgentMcpToolUse{
		ToolUseId: "use_1", ServerName: "docs", Name: "search", InputJson: "{}",
		Permission: v1.PermissionDecision_PERMISSION_DECISION_ASK}
	use, isUse := managedagents.UseOf(&v1.SessionEvent{Payload: &v1.SessionEvent_AgentMcpToolUse{AgentMcpToolUse: mcp}})
	equal(t, isUse, true)
	equal(t, use, managedagents.ToolUse{
		ID: "use_1", Name: "docs/search", InputJSON: "{}", Kind: managedagents.MCPTool, NeedsConfirmation: true})
	denied := &v1.AgentToolUse{
		ToolUseId: "use_2", Name: "bash", RunsAtClient: true,
		Permission: v1.PermissionDecision_PERMISSION_DECISION_DENY}
	use, _ = managedagents.UseOf(&v1.SessionEvent{Payload: &v1.SessionEvent_AgentToolUse{AgentToolUse: denied}})
	equal(t, use, managedagents.ToolUse{ID: "use_2", Name: "bash", Kind: managedagents.BuiltInTool})
	_, isUse = managedagents.UseOf(message())
	equal(t, isUse, false)
}

func TestAToolUseThatWaitsIsWhatStatusSays(t *testing.T) {
	for _, one := range []struct {
		action *v1.PendingAction
		use    managedagents.ToolUse
	}{
		{&v1.PendingAction{Kind: wantsCustomResult},
			managedagents.ToolUse{Kind: managedagents.CustomTool, AtClient: true}},
		{&v1.PendingAction{Kind: wantsToolResult, RunsAtClient: true},
			managedagents.ToolUse{Kind: managedagents.BuiltInTool, AtClient: true}},
		{&v1.PendingAction{Kind: wantsConfirmation, RunsAtClient: true},
			managedagents.ToolUse{Kind: managedagents.BuiltInTool, NeedsConfirmation: true, AtClient: true}},
		{&v1.PendingAction{Kind: wantsConfirmation},
			managedagents.ToolUse{Kind: managedagents.BuiltInTool, NeedsConfirmation: true}},
		{&v1.PendingAction{Kind: wantsConfirmation, ServerName: "docs", Name: "search"},
			managedagents.ToolUse{Name: "docs/search", Kind: managedagents.MCPTool, NeedsConfirmation: true}},
	} {
		equal(t, managedagents.UseThatWaits(one.action), one.use)
	}
}

// leaving is a session in which an earlier turn left a use of the tool open.
func leaving(waits *v1.PendingAction, events ...*v1.SessionEvent) *fake {
	service := telltale(events...)
	waits.ToolUseId, waits.Name = "use_0", "bash"
	service.calls["Status"] = always(&v1.StatusResponse{PendingActions: []*v1.PendingAction{waits}})
	return service
}

var bash = managedagents.WithTools(managedagents.Tools{"bash": nothing})

func TestAnEarlierTurnsUseWithoutAHandlerIsLeftToOthers(t *testing.T) {
	service := leaving(&v1.PendingAction{Kind: wantsCustomResult}, message(), idle(1, endTurn))
	runs(t, service, managedagents.WithTools(managedagents.Tools{"ours": nothing}))
	equal(t, len(answered(service)), 0)
}

func TestAnEarlierUseThatIsAllowedIsAnsweredOnlyWhereItRunsAtTheClient(t *testing.T) {
	for _, runsAtClient := range []bool{true, false} {
		events := []*v1.SessionEvent{message(), nil, confirmed("use_0"), nil, idle(1, endTurn)}
		if !runsAtClient {
			events = []*v1.SessionEvent{message(), nil, confirmed("use_0"), idle(1, endTurn)}
		}
		service := leaving(&v1.PendingAction{Kind: wantsConfirmation, RunsAtClient: runsAtClient}, events...)
		runs(t, service, managedagents.WithConfirm(allow), bash)
		sent := answered(service)
		equal(t, sent[0].GetUserToolConfirmation().ToolUseId, "use_0")
		equal(t, len(sent) == 2 && sent[1].GetUserToolResult().ToolUseId == "use_0", runsAtClient)
		equal(t, len(sent) == 1, !runsAtClient)
	}
}

func TestAConfirmationThatStatusHadToldOfStopsNoHandler(t *testing.T) {
	// The stream begins before Status was asked, so that the confirmation comes when the handler is at work.
	service := leaving(&v1.PendingAction{Kind: wantsToolResult, RunsAtClient: true},
		message(), confirmed("use_0"), agentSays(1, "rsp_1", "on"), nil, idle(1, endTurn))
	passed := make(chan struct{})
	onEvent := managedagents.OnEvent(func(event *v1.SessionEvent) error {
		if event.GetAgentMessage() != nil {
			close(passed)
		}
		return nil
	})
	handler := func(ctx context.Context, _ json.RawMessage) (any, error) {
		<-passed
		return "ran", ctx.Err()
	}
	runs(t, service, onEvent, managedagents.WithTools(managedagents.Tools{"bash": handler}))
	told := answered(service)[0].GetUserToolResult()
	equal(t, managedagents.TextOf(told.Content), "ran")
}
