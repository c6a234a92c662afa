//! User Import / Export: an extension server for an Auth0 tenant, and the same engine on the command line.
//!
//! This crate is the outside of the program: the command line and the HTTP server. The crates below `crates/` do the
//! work; docs/ARCHITECTURE.md shows the direction of their dependencies.

pub mod cli;
pub mod web;
