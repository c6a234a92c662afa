//! User Import / Export: an extension server for an Auth0 tenant, and the same engine on the command
//! line.
//!
//! docs/ARCHITECTURE.md lists the modules and the one direction in which they may use each other, which
//! `tests/architecture.rs` checks.

pub mod access;
pub mod auth0;
pub mod caret;
pub mod cli;
pub mod config;
pub mod error;
pub mod export;
pub mod expression;
pub mod import;
pub mod jobs;
pub mod lanes;
pub mod measure;
pub mod printable;
pub mod progress;
pub mod query;
pub mod sandbox;
pub mod seal;
pub mod store;
pub mod user;
pub mod web;
