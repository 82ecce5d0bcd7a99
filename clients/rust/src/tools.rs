//! Handlers of tools: from the input that a model gave to what it is told.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::future::ready;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::events::text;
use crate::v1::{Content, PendingAction};

tokio::task_local! {
    static CURRENT: String;
}

/// Inside a handler: the id of the tool use that it answers. The same use may come again to another process.
///
/// # Panics
///
/// Outside of a handler, also in a task that it spawned.
pub fn current_tool_use_id() -> String {
    CURRENT.get()
}

/// What a model is told of a tool use.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The blocks; may be none.
    pub content: Vec<Content>,
    /// The tool failed, and the content says how.
    pub is_error: bool,
}

impl Answer {
    pub(crate) fn failed(words: impl Into<String>) -> Self {
        Self { content: vec![text(words)], is_error: true }
    }
}

/// What a handler may return: a text, JSON, [`Json`] of one's own types, nothing, content blocks, or a `Result` of
/// these.
pub trait IntoAnswer {
    /// What the model is told.
    fn into_answer(self) -> Answer;
}

/// Any value that JSON can hold; a text stays a text.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoAnswer for Json<T> {
    fn into_answer(self) -> Answer {
        // As the value writes itself: the way over a `Value` would sort the fields of a struct.
        let json = match serde_json::to_string(&self.0) {
            Ok(json) => json,
            Err(error) => {
                tracing::warn!(%error, "a handler's answer is no JSON");
                return Answer::failed("The tool's answer is no JSON.");
            }
        };
        let words = serde_json::from_str::<Option<String>>(&json).map_or(json, Option::unwrap_or_default);
        // A block of text must not be empty.
        if words.is_empty() { vec![] } else { vec![text(words)] }.into_answer()
    }
}

macro_rules! as_json {
    ($($kind:ty),*) => {
        $(
            impl IntoAnswer for $kind {
                fn into_answer(self) -> Answer {
                    Json(self).into_answer()
                }
            }
        )*
    };
}

as_json!(Value, String, &str, ());

impl IntoAnswer for Content {
    fn into_answer(self) -> Answer {
        vec![self].into_answer()
    }
}

impl IntoAnswer for Vec<Content> {
    fn into_answer(self) -> Answer {
        Answer { content: self, is_error: false }
    }
}

impl<T: IntoAnswer, E: Display> IntoAnswer for Result<T, E> {
    fn into_answer(self) -> Answer {
        self.map_or_else(failure, T::into_answer)
    }
}

/// The words are the same in every language: they are what the model reads, and what the log keeps.
fn failure(why: impl Display) -> Answer {
    Answer::failed(format!("The tool failed: {why}"))
}

type Handler = Arc<dyn Fn(&str) -> BoxFuture<'static, Answer> + Send + Sync>;

/// Handlers by the tool's name.
#[derive(Clone, Default)]
pub struct Tools(pub(crate) HashMap<String, Handler>);

impl Tools {
    /// No handlers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the handler of a tool: an async function of the input that the model gave, as a `serde_json::Value` or a
    /// type of one's own. It runs in a task of its own; what blocks belongs into `tokio::task::spawn_blocking`.
    ///
    /// What it returns is told to the model. An error, a panic, and an input that does not fit are told as errors. When
    /// the use is closed meanwhile, the handler is dropped at its next `await`.
    pub fn on<I, F, Fut>(mut self, name: impl Into<String>, handler: F) -> Self
    where
        I: DeserializeOwned,
        F: Fn(I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoAnswer> + Send + 'static,
    {
        let handler = move |input_json: &str| match serde_json::from_str(input_json) {
            Ok(input) => handler(input).map(IntoAnswer::into_answer).boxed(),
            // What is wrong may have been found before the end, where it is no JSON either.
            Err(_) if serde_json::from_str::<IgnoredAny>(input_json).is_err() => {
                ready(Answer::failed("The input is no JSON.")).boxed()
            }
            Err(error) => ready(failure(error)).boxed(),
        };
        self.0.insert(name.into(), Arc::new(handler));
        self
    }

    /// What the handler says; it must be there.
    pub(crate) async fn ask(&self, action: &PendingAction) -> Answer {
        let input_json = if action.input_json.is_empty() { "{}" } else { &action.input_json };
        // Called inside of the future, so that a panic before its first `await` is caught, too.
        let asked = CURRENT.scope(action.tool_use_id.clone(), async { self.0[&action.name](input_json).await });
        AssertUnwindSafe(asked).catch_unwind().await.unwrap_or_else(|panic| {
            let words = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            failure(words.unwrap_or_default())
        })
    }
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
