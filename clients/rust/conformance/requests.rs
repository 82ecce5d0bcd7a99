//! What a step is short for.

use serde_json::{Value, json};

/// The request, with what a step leaves out.
pub fn with(mut given: Value, name: &str, default: Value) -> Value {
    given.as_object_mut().expect("an object").entry(name).or_insert(default);
    given
}

/// The request that a step is short for.
pub fn spelt_out(verb: &str, mut given: Value) -> Value {
    let fields = given.as_object_mut().expect("an object");
    let mut take = |name: &str| fields.remove(name);
    let event = match verb {
        "start" => {
            let Some(Value::Array(texts)) = take("texts") else { return given };
            return with(given, "initial_events", texts.iter().map(user_message).collect());
        }
        "send" => match take("text") {
            Some(text) => user_message(&text),
            None => return given,
        },
        "answer" => json!({"user_custom_tool_result": {
            "custom_tool_use_id": take("use"),
            "content": content(&take("text").unwrap_or_default()),
            "is_error": take("is_error").unwrap_or(false.into()),
        }}),
        "result" => json!({"user_tool_result": {
            "tool_use_id": take("use"),
            "content": content(&take("text").unwrap_or_default()),
            "is_error": take("is_error").unwrap_or(false.into()),
        }}),
        _ => {
            let allow = take("allow") == Some(true.into());
            json!({"user_tool_confirmation": {
                "tool_use_id": take("use"),
                "decision": if allow { "TOOL_CONFIRMATION_ALLOW" } else { "TOOL_CONFIRMATION_DENY" },
                "deny_message": take("message").unwrap_or("".into()),
            }})
        }
    };
    with(given, "event", event)
}

fn user_message(text: &Value) -> Value {
    json!({"user_message": {"content": content(text)}})
}

fn content(text: &Value) -> Value {
    json!([{"text": {"text": text}}])
}
