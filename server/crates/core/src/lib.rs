//! What all other crates share: the error table, settings, encryption, the principal and its
//! permissions, the user model, progress and metrics.

pub mod blocking;
pub mod config;
pub mod encryption;
pub mod error;
pub mod permissions;
pub mod principal;
pub mod printable;
pub mod progress;
pub mod source_snippet;
pub mod telemetry;
pub mod user;
