//! Small words for events: how they are made and what they are called.

use crate::v1::{
    Content, SessionEvent, StatusIdle, TextContent, Usage, UserDefineOutcome, UserEvent, UserMessage, content,
    session_event, user_event,
};

/// A content block of plain text.
pub fn text(words: impl Into<String>) -> Content {
    Content { block: Some(content::Block::Text(TextContent { text: words.into() })) }
}

/// The event that says what "done" means, to be run or sent in the place of a message. The iterations are 1 to 20; None:
/// 3 of them.
pub fn outcome_event(criteria: impl Into<String>, max_iterations: impl Into<Option<i32>>) -> UserEvent {
    let (criteria, max_iterations) = (criteria.into(), max_iterations.into());
    user_event::Event::UserDefineOutcome(UserDefineOutcome { criteria, max_iterations }).into()
}

/// The text of the blocks, joined. Pictures and files are left out.
pub fn text_of(content: &[Content]) -> String {
    let texts = content.iter().filter_map(|content| match &content.block {
        Some(content::Block::Text(block)) => Some(block.text.as_str()),
        _ => None,
    });
    texts.collect()
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
        reason.map_or("", crate::v1::stop_reason::Reason::name)
    }
}

impl Usage {
    /// Sums up what responses cost.
    pub(crate) fn add(&mut self, other: Self) {
        // Every field by its name, so that a new one is not forgotten.
        let Self {
            input_tokens,
            output_tokens,
            cache_read_tokens,
            cache_write_tokens,
            reasoning_tokens,
            requests,
            model_time,
        } = other;
        self.input_tokens += input_tokens;
        self.output_tokens += output_tokens;
        self.cache_read_tokens += cache_read_tokens;
        self.cache_write_tokens += cache_write_tokens;
        self.reasoning_tokens += reasoning_tokens;
        self.requests += requests;
        if let Some(time) = model_time {
            let total = self.model_time.get_or_insert_default();
            total.seconds += time.seconds;
            total.nanos += time.nanos;
            total.normalize();
        }
    }
}

impl From<user_event::Event> for UserEvent {
    fn from(event: user_event::Event) -> Self {
        Self { event: Some(event) }
    }
}

impl From<Vec<Content>> for UserEvent {
    fn from(content: Vec<Content>) -> Self {
        user_event::Event::UserMessage(UserMessage { content }).into()
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
