//! Small words for events: how they are made and what they are called.

use crate::v1::user_event::Event;
use crate::v1::{
    Content, PendingAction, PendingActionKind, SessionEvent, StatusIdle, TextContent, ToolConfirmation, TurnResult,
    TurnStopReason, UserCustomToolResult, UserDefineOutcome, UserEvent, UserMessage, UserToolConfirmation,
    UserToolResult, content, session_event, stop_reason,
};

/// A content block of plain text.
pub fn text(words: impl Into<String>) -> Content {
    Content { block: Some(content::Block::Text(TextContent { text: words.into() })) }
}

/// The text of the blocks, joined. Pictures and files are left out.
pub fn text_of(content: &[Content]) -> String {
    let texts = content.iter().filter_map(|content| match &content.block {
        Some(content::Block::Text(block)) => Some(block.text.as_str()),
        _ => None,
    });
    texts.collect()
}

/// The event that says what "done" means, to be run or sent in the place of a message. The iterations are 1 to 20; None:
/// 3 of them.
pub fn outcome_event(criteria: impl Into<String>, max_iterations: impl Into<Option<i32>>) -> UserEvent {
    let (criteria, max_iterations) = (criteria.into(), max_iterations.into());
    Event::UserDefineOutcome(UserDefineOutcome { criteria, max_iterations }).into()
}

/// What is decided on a use that waits for permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The tool may run.
    Allow,
    /// It must not, and the model is told this. Empty: a standard sentence.
    Deny(String),
}

impl PendingAction {
    /// The event that answers the use with its result.
    pub fn result(&self, content: Vec<Content>, is_error: bool) -> UserEvent {
        let id = self.tool_use_id.clone();
        let event = match self.kind() {
            PendingActionKind::CustomToolResult => {
                Event::UserCustomToolResult(UserCustomToolResult { custom_tool_use_id: id, content, is_error })
            }
            _ => Event::UserToolResult(UserToolResult { tool_use_id: id, content, is_error }),
        };
        event.into()
    }

    /// The event that decides on the use.
    pub fn confirmation(&self, decision: Decision) -> UserEvent {
        let (decision, deny_message) = match decision {
            Decision::Allow => (ToolConfirmation::Allow.into(), String::new()),
            Decision::Deny(words) => (ToolConfirmation::Deny.into(), words),
        };
        let tool_use_id = self.tool_use_id.clone();
        Event::UserToolConfirmation(UserToolConfirmation { tool_use_id, decision, deny_message }).into()
    }
}

impl SessionEvent {
    /// The event's kind, say `agent.message`. Empty: one that this version of the client does not know.
    pub fn kind(&self) -> &'static str {
        self.payload.as_ref().map_or("", session_event::Payload::kind)
    }
}

impl StatusIdle {
    /// Why the session went idle, say `end_turn`. Empty: a reason that this version of the client does not know.
    pub fn reason(&self) -> &'static str {
        let reason = self.stop_reason.as_ref().and_then(|stop| stop.reason.as_ref());
        reason.map_or("", stop_reason::Reason::name)
    }
}

impl TurnResult {
    /// Why the turn ended, say `end_turn`. Empty: a reason that this version of the client does not know.
    pub fn reason(&self) -> String {
        let reason = TurnStopReason::try_from(self.stop_reason);
        reason.map_or("", |known| known.as_str_name()).trim_start_matches("TURN_STOP_REASON_").to_lowercase()
    }
}

impl From<Event> for UserEvent {
    fn from(event: Event) -> Self {
        Self { event: Some(event) }
    }
}

impl From<Vec<Content>> for UserEvent {
    fn from(content: Vec<Content>) -> Self {
        Event::UserMessage(UserMessage { content }).into()
    }
}

impl From<&str> for UserEvent {
    fn from(words: &str) -> Self {
        vec![text(words)].into()
    }
}

impl From<String> for UserEvent {
    fn from(words: String) -> Self {
        vec![text(words)].into()
    }
}
