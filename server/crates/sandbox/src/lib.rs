//! Runs untrusted code: transforms, compiled to WASM, with enforced limits (docs/decisions/0005-sandbox.md).
//!
//! A transform is a component without imports: it can compute, but has no access to the host. [`Sandbox`] holds the
//! [`Catalog`] of transforms and compiles each of them once (`cache.rs`). A [`Runner`] passes rows to one transform in
//! batches and returns one result per row, whatever the transform does.

mod cache;
mod catalog;
mod check;
mod compile;
mod compiled_transform;
mod engine;
mod fault;
mod limits;
mod process_sandbox;
mod result_batch;
mod runner;
mod sandbox;
mod validate;
mod value_ref;
mod wit_values;

pub use catalog::{Catalog, LARGEST_FILE, Origin, Problem, Transform, UPLOADS, with_manifest};
pub use check::{CheckResult, EXAMPLES_TIME};
pub use compile::{SUBCOMMAND, compile_with, serve as serve_compilation};
pub use engine::{FuelMetering, StopSignal};
pub use fault::{FaultKind, RowFault};
pub use limits::Limits;
pub use result_batch::ResultBatch;
pub use runner::{Runner, Usage};
pub use sandbox::Sandbox;
pub use validate::{TARGET, is_name};
pub use value_ref::ValueRef;
pub use wit_values::{MAX_JSON_DEPTH, Rows};

#[cfg(test)]
mod tests;
