package managedagents

import v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"

// ToolKind is whose a tool is.
type ToolKind string

// The kinds of tools.
const (
	CustomTool  ToolKind = "custom"
	BuiltInTool ToolKind = "built-in"
	MCPTool     ToolKind = "mcp"
)

// ToolUse is a tool use that the session's client is asked about, as its event says it; nothing is guessed from a name.
type ToolUse struct {
	ID   string
	Name string
	// InputJSON is as the model wrote it; it may be no JSON at all.
	InputJSON string
	Kind      ToolKind
	// NeedsConfirmation: it waits for user.tool_confirmation.
	NeedsConfirmation bool
	// AtClient: the client answers it with its result, after the confirmation where it needs one.
	AtClient bool
}

// Decision is what is decided on a tool use that waits for permission. The zero value denies it.
type Decision struct {
	Allow bool
	// DenyMessage is what the model is told of a denial. Empty: a standard sentence.
	DenyMessage string
}

// UseOf is the tool use that the event logs. False: it logs something else.
func UseOf(event *v1.SessionEvent) (ToolUse, bool) {
	switch payload := event.Payload.(type) {
	case *v1.SessionEvent_AgentCustomToolUse:
		use := payload.AgentCustomToolUse
		return ToolUse{use.CustomToolUseId, use.Name, use.InputJson, CustomTool, false, true}, true
	case *v1.SessionEvent_AgentToolUse:
		use := payload.AgentToolUse
		atClient := use.RunsAtClient && use.Permission != v1.PermissionDecision_PERMISSION_DECISION_DENY
		return ToolUse{use.ToolUseId, use.Name, use.InputJson, BuiltInTool, asks(use.Permission), atClient}, true
	case *v1.SessionEvent_AgentMcpToolUse:
		use := payload.AgentMcpToolUse
		name := use.ServerName + "/" + use.Name
		return ToolUse{use.ToolUseId, name, use.InputJson, MCPTool, asks(use.Permission), false}, true
	}
	return ToolUse{}, false
}

// UseThatWaits is the tool use that a session waits for, as Status tells it.
func UseThatWaits(action *v1.PendingAction) ToolUse {
	name, kind := action.Name, BuiltInTool
	custom := action.Kind == v1.PendingActionKind_PENDING_ACTION_KIND_CUSTOM_TOOL_RESULT
	asks := action.Kind == v1.PendingActionKind_PENDING_ACTION_KIND_TOOL_CONFIRMATION
	switch {
	case custom:
		kind = CustomTool
	case action.ServerName != "":
		name, kind = action.ServerName+"/"+name, MCPTool
	}
	return ToolUse{action.ToolUseId, name, action.InputJson, kind, asks, custom || action.RunsAtClient}
}

// ResultEvent is the event that answers the use with its result.
func ResultEvent(use ToolUse, content []*v1.Content, isError bool) *v1.UserEvent {
	if use.Kind == CustomTool {
		return &v1.UserEvent{Event: &v1.UserEvent_UserCustomToolResult{UserCustomToolResult: &v1.UserCustomToolResult{
			CustomToolUseId: use.ID, Content: content, IsError: isError}}}
	}
	return &v1.UserEvent{Event: &v1.UserEvent_UserToolResult{UserToolResult: &v1.UserToolResult{
		ToolUseId: use.ID, Content: content, IsError: isError}}}
}

// ConfirmationEvent is the event that allows the use of this id, or denies it.
func ConfirmationEvent(useID string, decision Decision) *v1.UserEvent {
	confirmation := &v1.UserToolConfirmation{
		ToolUseId: useID, Decision: v1.ToolConfirmation_TOOL_CONFIRMATION_ALLOW,
	}
	if !decision.Allow {
		confirmation.Decision = v1.ToolConfirmation_TOOL_CONFIRMATION_DENY
		confirmation.DenyMessage = decision.DenyMessage
	}
	return &v1.UserEvent{Event: &v1.UserEvent_UserToolConfirmation{UserToolConfirmation: confirmation}}
}

func asks(permission v1.PermissionDecision) bool {
	return permission == v1.PermissionDecision_PERMISSION_DECISION_ASK
}
