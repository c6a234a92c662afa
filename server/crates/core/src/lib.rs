//! What all other crates share: the error table, settings, encryption, the principal and its
//! permissions, the user model, progress and metrics.

// `message!` names this crate by its full name.
extern crate self as uie_core;

pub mod blocking;
pub mod config;
pub mod diagnostic;
pub mod encryption;
pub mod error;
pub mod language;
mod locales;
pub mod message;
pub mod permissions;
pub mod principal;
pub mod printable;
pub mod progress;
pub mod secret_name;
pub mod similar;
pub mod source_snippet;
pub mod telemetry;
pub mod translations;
pub mod user;
