use futures_util::StreamExt;
use managedagents::v1::{AgentDefinition, StartSessionRequest};
use managedagents::{Client, from_json};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), managedagents::Error> {
    let client = Client::connect("127.0.0.1:50051")?;
    let model = json!({"scripted": {"responses": [{"text": "Hello."}]}});
    let agent: AgentDefinition = from_json(json!({"name": "echo", "model": model}))?;
    let agent_id = client.create(agent).await?.agent_id;
    let start = StartSessionRequest { initial_events: vec!["Hi".into()], ..agent_id.into() };
    let session = client.start_session(start).await?;
    let mut events = client.follow(session.session_id, 0);
    while let Some(event) = events.next().await {
        let event = event?;
        println!("{} {}", event.seq, event.kind());
        if event.kind() == "status.idle" {
            break;
        }
    }
    Ok(())
}
