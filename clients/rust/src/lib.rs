//! A client of the managed agents service: declare an agent, start durable sessions of it, send events in, follow events
//! out.
//!
//! ```no_run
//! # async fn example() -> Result<(), managedagents::Error> {
//! let client = managedagents::Client::connect("127.0.0.1:50051")?;
//! let result = client.run("ses_…", "How is the weather in Oslo?").await?;
//! println!("{} {}", result.stop_reason, result.text);
//! # Ok(())
//! # }
//! ```
//!
//! The messages and the bare gRPC stubs are in [`v1`]; what is here on top of them is thin.

#![warn(missing_docs)]

/// The messages and the bare gRPC stubs, generated from the protos, whose comments are the reference of the API.
#[allow(missing_docs, clippy::all, clippy::pedantic, rustdoc::all)]
#[rustfmt::skip]
#[path = "gen/managedagents.v1.rs"]
pub mod v1;

mod answers;
mod backoff;
mod calls;
mod channel;
mod client;
mod error;
mod events;
mod follow;
mod json;
mod run;
mod tools;

pub use channel::ClientBuilder;
pub use client::Client;
pub use error::{Error, ErrorKind};
pub use events::{Decision, outcome_event, text, text_of};
pub use follow::{Follow, FollowItem};
pub use json::{from_json, to_json};
pub use run::{Run, RunResult};
pub use tonic::Code;
pub use tonic::transport::{Certificate, ClientTlsConfig, Identity};
pub use tonic_types::FieldViolation;
pub use tools::{Answer, IntoAnswer, Json, Tools, current_tool_use_id};
