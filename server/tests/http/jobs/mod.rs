//! Tests of exports, imports and history against a simulated tenant, including the requests to it.

mod concurrent_state_changes;
mod damaged_exports;
mod encryption_at_rest;
mod exports;
mod imports;
mod injection;
mod input_files;
mod job_tokens;
mod languages;
mod limits;
mod original_client;
mod presets;
mod retention;
mod sources;

/// A simulated tenant, an application for it in this process, and the session of an admin.
type Harness = test_kit::Harness<test_kit::Application>;
