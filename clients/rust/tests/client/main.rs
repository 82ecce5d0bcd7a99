//! The client, against real servers, and against a fake one for what a real one does not do.

mod calls;
mod confirm;
mod errors;
mod follow;
mod follow_patience;
mod generate;
mod json;
mod outcome;
mod readme;
mod real;
mod run;
mod secured;
mod support;
mod survival;
mod tools;
mod uses;
