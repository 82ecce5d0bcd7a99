//! Running a message, as a step asks for it, and the lines of what came of it.

use std::collections::HashMap;
use std::time::Duration;

use managedagents::{Client, Decision, Error, Json, RunResult, Tools};
use serde_json::{Value, json};

use crate::lines::Told;

pub async fn run(client: &Client, told: &mut Told, given: &Value) {
    let Some(within) = given["within"].as_f64() else { return tell(running(client, given).await, told) };
    match tokio::time::timeout(Duration::from_secs_f64(within), running(client, given)).await {
        Ok(result) => tell(result, told),
        Err(_) => told.say("run gave up".into()),
    }
}

async fn running(client: &Client, given: &Value) -> Result<RunResult, Error> {
    let words = |name: &str| given[name].as_str().expect("a text").to_owned();
    let mut tools = Tools::new();
    for (name, does) in given["tools"].as_object().into_iter().flatten() {
        tools = with_handler(tools, name, does);
    }
    let run = client.run(words("session_id"), words("text")).tools(tools);
    let decision = match &given["confirm"] {
        Value::Null => return run.await,
        Value::Bool(true) => Decision::Allow,
        why => Decision::Deny(why.as_str().unwrap_or_default().into()),
    };
    run.confirm(move |_| std::future::ready(decision.clone())).await
}

fn with_handler(tools: Tools, name: &str, does: &Value) -> Tools {
    if let Some(words) = does["fails"].as_str().map(str::to_owned) {
        return tools.on(name, move |_: Value| std::future::ready(Err::<(), _>(words.clone())));
    }
    if does["hangs"] == true {
        return tools.on(name, |_: Value| std::future::pending::<()>());
    }
    if does["returns_no_json"] == true {
        let keyed_by_lists = || Json(HashMap::from([([1], 2)]));
        return tools.on(name, move |_: Value| std::future::ready(keyed_by_lists()));
    }
    let returned = does["returns"].clone();
    tools.on(name, move |_: Value| std::future::ready(returned.clone()))
}

fn tell(result: Result<RunResult, Error>, told: &mut Told) {
    let result = match result {
        Ok(result) => result,
        Err(error) => return told.failure("run", &error),
    };
    for event in &result.events {
        told.event(event);
    }
    let mut said = json!({"stopReason": result.stop_reason, "text": result.text});
    if !result.waits_for.is_empty() {
        said["waitsFor"] = json!(result.waits_for);
    }
    if let Some(error) = &result.error {
        said["error"] = error.code().as_str_name().into();
    }
    let said = told.names.stable(said, "");
    told.say(format!("run {said}"));
}
