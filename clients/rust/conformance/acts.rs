//! What this program can do beside scenarios, for tests in which several languages meet: tests/conformance/README.md.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use managedagents::v1::session_event::Payload;
use managedagents::v1::user_event::Event;
use managedagents::v1::{StreamEnded, UserCustomToolResult};
use managedagents::{Client, ErrorKind, Tools, text};
use serde_json::Value;

type Done = Result<(), Box<dyn Error>>;

/// None: what is given is no act. Each line is out as soon as it is printed.
pub async fn act(given: &[String]) -> Option<Done> {
    let given: Vec<_> = given.iter().map(String::as_str).collect();
    let (&name, given) = given.split_first()?;
    Some(match (name, given) {
        ("follow", [address, session, count]) => follow(address, session, count).await,
        ("run", [address, session, words, tools @ ..]) => run(address, session, words, tools).await,
        ("answer", [address, session, value]) => answer(address, session, value).await,
        ("log", [address, session]) => log(address, session).await,
        ("follow" | "run" | "answer" | "log", _) => {
            Err(format!("tests/conformance/README.md says what {name} is given").into())
        }
        _ => return None,
    })
}

async fn follow(address: &str, session: &str, count: &str) -> Done {
    let count: usize = count.parse()?;
    let (client, to_begin) = (Client::connect(address)?, AtomicUsize::new(count));
    let seen = try_join_all((0..count).map(|_| seqs(&client, session, &to_begin))).await?;
    let last = seen.iter().flatten().copied().max().unwrap_or_default();
    let wrong: Vec<_> = (0..count).filter(|&number| !seen[number].iter().copied().eq(1..=last)).collect();
    if !wrong.is_empty() {
        return Err(format!("followers {wrong:?} saw something else").into());
    }
    println!("{count} followers, {last} events each");
    Ok(())
}

/// Those of the whole session. The last follower to see its first event says that all have.
async fn seqs(client: &Client, session: &str, to_begin: &AtomicUsize) -> Result<Vec<u64>, managedagents::Error> {
    let (mut seqs, mut events) = (Vec::new(), client.follow(session, 0));
    while let Some(event) = events.next().await {
        seqs.push(event?.seq);
        if seqs.len() == 1 && to_begin.fetch_sub(1, Ordering::Relaxed) == 1 {
            println!("following");
        }
    }
    Ok(seqs)
}

async fn run(address: &str, session: &str, words: &str, given: &[&str]) -> Done {
    let mut tools = Tools::new();
    for tool in given {
        let (name, value) = tool.split_once('=').ok_or("a tool is NAME=VALUE")?;
        let value = value.to_owned();
        tools = tools.on(name, move |_: Value| std::future::ready(value.clone()));
    }
    let result = Client::connect(address)?.run(session, words).tools(tools).await?;
    println!("{} {}", result.stop_reason, result.text);
    Ok(())
}

async fn answer(address: &str, session: &str, value: &str) -> Done {
    let client = Client::connect(address)?;
    let mut events = client.follow(session, 0);
    while let Some(event) = events.next().await {
        let Some(Payload::AgentCustomToolUse(used)) = event?.payload else { continue };
        let id = used.custom_tool_use_id;
        let answer =
            UserCustomToolResult { custom_tool_use_id: id.clone(), content: vec![text(value)], is_error: false };
        match client.send(session, Event::UserCustomToolResult(answer)).await {
            // It is one of before, and no longer open.
            Err(error) if error.kind() == ErrorKind::ToolUseClosed => continue,
            sent => sent?,
        };
        println!("answered {id}");
        return Ok(());
    }
    Err("the session was over before a custom tool was used".into())
}

async fn log(address: &str, session: &str) -> Done {
    let client = Client::connect(address)?;
    let mut events = client.follow(session, 0);
    while let Some(event) = events.next().await {
        let event = event?;
        println!("{} {}", event.seq, event.kind());
    }
    let ended: &StreamEnded = events.ended().ok_or("it did not end")?;
    let reason = ended.reason().as_str_name().trim_start_matches("STREAM_END_REASON_").to_lowercase();
    println!("ended {reason} {}", ended.last_seq);
    Ok(())
}
