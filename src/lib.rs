//! Lockstep keeps Salesforce and a software-license platform in step, both ways.
//!
//! The module tree is the architecture; `tests/it/architecture.rs` fails on an arrow that ARCHITECTURE.md does not show.

pub mod cli;
pub mod config;
pub mod connectors;
pub mod daemon;
pub mod engine;
pub mod plan;
pub mod record;
pub mod rules;
pub mod sandbox;
mod seeded;
#[cfg(any(test, feature = "simulation"))]
pub mod simulation;
pub mod store;

#[cfg(test)]
mod stories_of_lac;
