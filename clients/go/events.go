package managedagents

import (
	"strings"

	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// Must gives the value, and panics on an error. For examples, scripts and tests.
func Must[Value any](value Value, err error) Value {
	if err != nil {
		panic(err)
	}
	return value
}

// Text is a content block of plain text. Bytes that are no UTF-8 become U+FFFD.
func Text(words string) *v1.Content {
	words = strings.ToValidUTF8(words, "\uFFFD")
	return &v1.Content{Block: &v1.Content_Text{Text: &v1.TextContent{Text: words}}}
}

// UserMessage is the user.message that says a text.
func UserMessage(words string) *v1.UserEvent {
	message := &v1.UserMessage{Content: []*v1.Content{Text(words)}}
	return &v1.UserEvent{Event: &v1.UserEvent_UserMessage{UserMessage: message}}
}

// OutcomeEvent is the user.define_outcome that says what "done" means. The iterations are 1 to 20; 0: 3 of them.
func OutcomeEvent(criteria string, maxIterations int32) *v1.UserEvent {
	outcome := &v1.UserDefineOutcome{Criteria: criteria}
	if maxIterations != 0 {
		outcome.MaxIterations = &maxIterations
	}
	return &v1.UserEvent{Event: &v1.UserEvent_UserDefineOutcome{UserDefineOutcome: outcome}}
}

// ResultEvent is the event that answers a tool use with its result.
func ResultEvent(action *v1.PendingAction, content []*v1.Content, isError bool) *v1.UserEvent {
	if action.Kind == v1.PendingActionKind_PENDING_ACTION_KIND_CUSTOM_TOOL_RESULT {
		return &v1.UserEvent{Event: &v1.UserEvent_UserCustomToolResult{UserCustomToolResult: &v1.UserCustomToolResult{
			CustomToolUseId: action.ToolUseId, Content: content, IsError: isError}}}
	}
	return &v1.UserEvent{Event: &v1.UserEvent_UserToolResult{UserToolResult: &v1.UserToolResult{
		ToolUseId: action.ToolUseId, Content: content, IsError: isError}}}
}

// Decision is what is decided on a tool use that waits for permission. The zero value denies it.
type Decision struct {
	Allow bool
	// DenyMessage is what the model is told of a denial. Empty: a standard sentence.
	DenyMessage string
}

// ConfirmationEvent is the event that allows the tool use of this id, or denies it.
func ConfirmationEvent(useID string, decision Decision) *v1.UserEvent {
	confirmation := &v1.UserToolConfirmation{ToolUseId: useID}
	if decision.Allow {
		confirmation.Decision = v1.ToolConfirmation_TOOL_CONFIRMATION_ALLOW
	} else {
		confirmation.Decision = v1.ToolConfirmation_TOOL_CONFIRMATION_DENY
		confirmation.DenyMessage = decision.DenyMessage
	}
	return &v1.UserEvent{Event: &v1.UserEvent_UserToolConfirmation{UserToolConfirmation: confirmation}}
}

// TextOf is the text of the blocks, joined. Pictures and files are left out.
func TextOf(content []*v1.Content) string {
	var words strings.Builder
	for _, block := range content {
		words.WriteString(block.GetText().GetText())
	}
	return words.String()
}

// KindOf is an event's kind, say agent.message. Empty: one that this version of the client does not know.
func KindOf(event *v1.SessionEvent) string {
	reflected := event.ProtoReflect()
	field := reflected.WhichOneof(reflected.Descriptor().Oneofs().ByName("payload"))
	if field == nil {
		return ""
	}
	return strings.Replace(string(field.Name()), "_", ".", 1)
}
