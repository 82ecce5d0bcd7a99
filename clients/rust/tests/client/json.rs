//! Messages from JSON and back.

use managedagents::v1::{AgentDefinition, PendingAction, Provider, SessionEvent, StatusResponse};
use managedagents::{ErrorKind, from_json, to_json};
use serde_json::json;

#[test]
fn names_may_be_snake_case_or_lower_camel_case_and_json_may_stand_inline() {
    let snake = json!({
        "name": "weather",
        "custom_tool_timeout": "1.5s",
        "model": {"provider_model": {"provider": "PROVIDER_OPENAI", "model": "gpt-4.1"}},
        "tools": [{"custom": {"name": "weather", "input_schema": {"type": "object"}}}],
    });
    let camel = json!({
        "name": "weather",
        "customToolTimeout": "1.500s",
        "model": {"providerModel": {"provider": "PROVIDER_OPENAI", "model": "gpt-4.1"}},
        "tools": [{"custom": {"name": "weather", "inputSchemaJson": "{\"type\":\"object\"}"}}],
    });
    let definition: AgentDefinition = from_json(snake).unwrap();
    assert_eq!(definition, from_json(camel).unwrap());
    let printed = to_json(&definition);
    assert_eq!(printed["model"]["providerModel"]["provider"], Provider::Openai.as_str_name());
    assert_eq!(printed["customToolTimeout"], "1.500s");
    assert_eq!(definition, from_json(printed).unwrap());
}

#[test]
fn what_is_no_such_message_is_told_with_the_field() {
    let error = from_json::<AgentDefinition>(json!({"nmae": "x"})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unusable);
    assert!(error.message().starts_with("this is no AgentDefinition: "), "{error}");
    assert!(error.message().contains("nmae"), "{error}");
    assert!(from_json::<AgentDefinition>(json!([])).is_err());
}

#[test]
fn large_numbers_are_text_and_defaults_are_left_out() {
    let status =
        StatusResponse { head_seq: 1 << 60, pending_actions: vec![PendingAction::default()], ..Default::default() };
    assert_eq!(to_json(&status), json!({"headSeq": "1152921504606846976", "pendingActions": [{}]}));
}

#[test]
fn a_kind_is_called_as_its_field_with_a_dot() {
    let kind = |name: &str| from_json::<SessionEvent>(json!({name: {}})).unwrap().kind();
    assert_eq!(kind("agent_custom_tool_use"), "agent.custom_tool_use");
    assert_eq!(kind("status_idle"), "status.idle");
    assert_eq!(kind("error"), "error");
    assert_eq!(SessionEvent::default().kind(), "");
}
