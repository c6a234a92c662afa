//! User Import / Export: an extension server for an Auth0 tenant, and the same engine on the command
//! line.
//!
//! docs/ARCHITECTURE.md lists the modules and the direction in which they may depend on each other;
//! `tests/architecture.rs` checks it.

pub mod access;
pub mod auth0;
pub mod blocking;
pub mod cli;
pub mod config;
pub mod encryption;
pub mod error;
pub mod export;
pub mod expression;
pub mod import;
pub mod jobs;
pub mod printable;
pub mod progress;
pub mod query;
pub mod sandbox;
pub mod simd;
pub mod source_snippet;
pub mod store;
pub mod telemetry;
pub mod user;
pub mod web;
