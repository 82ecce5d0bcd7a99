use managedagents::v1::AgentDefinition;
use managedagents::{Client, Tools, from_json};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), managedagents::Error> {
    let client = Client::connect("127.0.0.1:50051")?;
    let responses = json!([
        {"tool_calls": [{"name": "weather", "input": {"city": "Oslo"}}]},
        {"text": "It is 19 degrees in Oslo."},
    ]);
    let tool = json!({"name": "weather", "description": "The weather of a city.", "input_schema": {"type": "object"}});
    let agent =
        json!({"name": "weather", "model": {"scripted": {"responses": responses}}, "tools": [{"custom": tool}]});
    let agent = client.create(from_json::<AgentDefinition>(agent)?).await?;
    let session = client.start_session(agent.agent_id).await?;
    let weather = |given: Value| async move { json!({"city": given["city"], "degrees": 19}) };
    let tools = Tools::new().on("weather", weather);
    let result = client.run(session.session_id, "How is the weather in Oslo?").tools(tools).await?;
    println!("{} {}", result.stop_reason, result.text);
    Ok(())
}
