//! The words of the lines: JSON with sorted keys, names for ids, stars for what changes from run to run.

use std::collections::HashMap;

use managedagents::v1::SessionEvent;
use managedagents::{Error, ErrorKind, to_json};
use serde_json::{Map, Value, json};

const STARRED: [&str; 9] =
    ["createTime", "updateTime", "archiveTime", "deadline", "wakeTime", "delay", "pausedFor", "message", "error_id"];

fn prefix(key: &str) -> Option<&'static str> {
    Some(match key {
        "agentId" => "agt",
        "sessionId" => "ses",
        "customToolUseId" | "toolUseId" => "use",
        "responseId" => "rsp",
        "logId" | "log_id" => "log",
        "nextPageToken" => "tok",
        _ => return None,
    })
}

/// The lines so far.
#[derive(Default)]
pub struct Told {
    pub lines: Vec<String>,
    pub names: Names,
}

impl Told {
    pub fn say(&mut self, line: String) {
        self.lines.push(line);
    }

    pub fn event(&mut self, event: &SessionEvent) {
        let line = self.names.event(event);
        self.say(line);
    }

    /// `what` failed: a verb, or what else a line begins with.
    pub fn failure(&mut self, what: &str, error: &Error) {
        let line = self.names.failure(error);
        self.say(format!("{what} {line}"));
    }
}

/// Ids by their names, in the order in which they were first seen.
#[derive(Default)]
pub struct Names {
    names: HashMap<String, String>,
    ids: HashMap<String, String>,
}

impl Names {
    /// `key`: of the field that the value is of. Objects are sorted by themselves.
    pub fn stable(&mut self, value: Value, key: &str) -> Value {
        match value {
            Value::Object(fields) => {
                let stable = fields.into_iter().map(|(name, inner)| {
                    let inner = self.stable(inner, &name);
                    (name, inner)
                });
                Value::Object(stable.collect())
            }
            Value::Array(items) => items.into_iter().map(|item| self.stable(item, key)).collect(),
            Value::String(_) if STARRED.contains(&key) => "*".into(),
            Value::String(id) => Value::String(self.name(id, key)),
            other => other,
        }
    }

    pub fn name(&mut self, id: String, key: &str) -> String {
        if let Some(prefix) = prefix(key).filter(|_| !self.names.contains_key(&id)) {
            let number = 1 + self.ids.keys().filter(|name| name.starts_with(prefix)).count();
            let name = format!("{prefix}#{number}");
            self.names.insert(id.clone(), name.clone());
            self.ids.insert(name, id.clone());
        }
        self.names.get(&id).cloned().unwrap_or(id)
    }

    /// The other way: what a step says, with ids for names.
    pub fn ids(&self, value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                Value::Object(fields.iter().map(|(name, inner)| (name.clone(), self.ids(inner))).collect())
            }
            Value::Array(items) => items.iter().map(|item| self.ids(item)).collect(),
            Value::String(name) => Value::String(self.ids.get(name).unwrap_or(name).clone()),
            other => other.clone(),
        }
    }

    pub fn event(&mut self, event: &SessionEvent) -> String {
        let said = self.stable(to_json(event), "");
        let Value::Object(mut fields) = said else { unreachable!("a message is an object") };
        for name in ["seq", "turn", "createTime"] {
            fields.remove(name);
        }
        format!("event {} {} turn={} {}", event.seq, event.kind(), event.turn, Value::Object(fields))
    }

    /// The fields of what happened, which stand in the event under the name of its kind.
    pub fn payload(&mut self, event: &SessionEvent) -> Value {
        let name = event.kind().replacen('.', "_", 1);
        let camel = name.split('_').enumerate().map(|(index, word)| match index {
            0 => word.to_owned(),
            _ => word[..1].to_uppercase() + &word[1..],
        });
        let said = to_json(event);
        let payload = said.get(camel.collect::<String>()).cloned().unwrap_or_default();
        self.stable(payload, "")
    }

    /// What stands behind the verb of a call that failed.
    fn failure(&mut self, error: &Error) -> String {
        let Some(reason) = error.reason() else {
            return format!("failed {}", by_itself(error));
        };
        let fields: Vec<_> = error.violations().iter().map(|violation| violation.field.clone()).collect();
        let metadata: Map<_, _> =
            error.metadata().iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect();
        let said = json!({"fields": fields, "metadata": metadata, "retry": error.retry_after().is_some()});
        let said = self.stable(said, "");
        let code = error.code().map(|code| screaming(&format!("{code:?}"))).unwrap_or_default();
        format!("refused {code} {reason} {said}")
    }
}

/// What the client found by itself, where no server gave a reason.
fn by_itself(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::NoAnswer => "no_answer",
        ErrorKind::DeadlineExceeded => "deadline_exceeded",
        ErrorKind::NotThisService => "not_this_service",
        ErrorKind::PromiseBroken => "promise_broken",
        _ => panic!("nothing that a scenario knows: {error:?}"),
    }
}

/// Every field that is wanted is there; others may be, too.
pub fn has(said: &Value, wanted: &Value) -> bool {
    match (said, wanted) {
        (Value::Object(said), Value::Object(wanted)) => {
            wanted.iter().all(|(name, value)| said.get(name).is_some_and(|found| has(found, value)))
        }
        _ => said == wanted,
    }
}

/// `NotFound` as gRPC writes it: `NOT_FOUND`.
fn screaming(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.extend(letter.to_uppercase());
    }
    words
}
