//! A tool use that the session's client is asked about, and the events that answer it.

use crate::v1::session_event::Payload;
use crate::v1::user_event::Event;
use crate::v1::{
    Content, PendingAction, PendingActionKind, PermissionDecision, SessionEvent, ToolConfirmation,
    UserCustomToolResult, UserEvent, UserToolConfirmation, UserToolResult,
};

/// Whose tool is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolKind {
    /// One that the agent's definition describes and the client answers.
    Custom,
    /// One of the server's own.
    BuiltIn,
    /// One of an MCP server.
    Mcp,
}

/// A tool use as its event says it; nothing is guessed from a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolUse {
    /// Unique in the session.
    pub id: String,
    /// The tool's name; of an MCP server's tool `SERVER/NAME`.
    pub name: String,
    /// As the model wrote it; may be no JSON at all.
    pub input_json: String,
    /// Whose tool it is.
    pub kind: ToolKind,
    /// It waits for `user.tool_confirmation`.
    pub needs_confirmation: bool,
    /// The client answers it with its result (after the confirmation, where it needs one).
    pub at_client: bool,
}

/// What is decided on a use that waits for permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The tool may run.
    Allow,
    /// It must not, and the model is told this. Empty: a standard sentence.
    Deny(String),
}

impl ToolUse {
    /// The tool use that the event logs. None: it logs something else.
    pub fn of(event: &SessionEvent) -> Option<Self> {
        let asks = |permission| permission == PermissionDecision::Ask;
        Some(match event.payload.as_ref()? {
            Payload::AgentCustomToolUse(used) => Self {
                id: used.custom_tool_use_id.clone(),
                name: used.name.clone(),
                input_json: used.input_json.clone(),
                kind: ToolKind::Custom,
                needs_confirmation: false,
                at_client: true,
            },
            Payload::AgentToolUse(used) => Self {
                id: used.tool_use_id.clone(),
                name: used.name.clone(),
                input_json: used.input_json.clone(),
                kind: ToolKind::BuiltIn,
                needs_confirmation: asks(used.permission()),
                at_client: used.runs_at_client && used.permission() != PermissionDecision::Deny,
            },
            Payload::AgentMcpToolUse(used) => Self {
                id: used.tool_use_id.clone(),
                name: format!("{}/{}", used.server_name, used.name),
                input_json: used.input_json.clone(),
                kind: ToolKind::Mcp,
                needs_confirmation: asks(used.permission()),
                at_client: false,
            },
            _ => return None,
        })
    }

    /// The event that answers the use with its result.
    pub fn result(&self, content: Vec<Content>, is_error: bool) -> UserEvent {
        let id = self.id.clone();
        let event = match self.kind {
            ToolKind::Custom => {
                Event::UserCustomToolResult(UserCustomToolResult { custom_tool_use_id: id, content, is_error })
            }
            _ => Event::UserToolResult(UserToolResult { tool_use_id: id, content, is_error }),
        };
        event.into()
    }

    /// The event that decides on the use.
    pub fn confirmation(&self, decision: Decision) -> UserEvent {
        let (decision, deny_message) = match decision {
            Decision::Allow => (ToolConfirmation::Allow, String::new()),
            Decision::Deny(words) => (ToolConfirmation::Deny, words),
        };
        let tool_use_id = self.id.clone();
        Event::UserToolConfirmation(UserToolConfirmation { tool_use_id, decision: decision.into(), deny_message })
            .into()
    }
}

/// The tool use that a session waits for, as Status tells it.
impl From<&PendingAction> for ToolUse {
    fn from(action: &PendingAction) -> Self {
        let custom = action.kind() == PendingActionKind::CustomToolResult;
        let (name, kind) = match action.server_name.as_str() {
            "" if custom => (action.name.clone(), ToolKind::Custom),
            "" => (action.name.clone(), ToolKind::BuiltIn),
            server => (format!("{server}/{}", action.name), ToolKind::Mcp),
        };
        Self {
            id: action.tool_use_id.clone(),
            name,
            input_json: action.input_json.clone(),
            kind,
            needs_confirmation: action.kind() == PendingActionKind::ToolConfirmation,
            at_client: custom || action.runs_at_client,
        }
    }
}
