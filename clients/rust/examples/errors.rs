use managedagents::v1::AgentDefinition;
use managedagents::{Client, ErrorKind};

#[tokio::main]
async fn main() -> Result<(), managedagents::Error> {
    let client = Client::connect("127.0.0.1:50051")?;
    if let Err(error) = client.create(AgentDefinition::default()).await {
        for violation in error.violations() {
            println!("{}: {}", violation.field, violation.description);
        }
    }
    match client.status("ses_none").await {
        Err(error) if error.kind() == ErrorKind::NotFound => println!("{}", error.reason().unwrap_or_default()),
        other => println!("{:?}", other?),
    }
    Ok(())
}
