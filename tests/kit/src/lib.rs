//! The test kit of all tests that start a server. [`TestKit`] builds a simulated tenant, a server for it and the session
//! of an admin. The server runs as an [`Application`] in the process of the test (HTTP tests, fuzz targets) or as a
//! [`Program`], a process of the real binary (end-to-end tests, long runs); [`Harness`] has the same verbs for both.
//!
//! The browser is in the package `end-to-end`, because Cargo would build it for every test that uses this package.

mod application;
mod bodies;
mod builder;
mod files;
mod harness;
mod hostile;
mod installation;
mod program;
mod reply;
mod request;
mod tenant;
pub mod test_server;
mod tokens;
mod waiting;

pub use application::{Application, BASE_URL};
pub use bodies::{Body, endless_body, pending_body};
pub use builder::{Login, TestKit};
pub use files::{has_extension, renamed_transform};
pub use harness::{Backend, Harness, job_id};
pub use hostile::{HOSTILE, hostile_columns, hostile_transforms};
pub use installation::Installation;
pub use program::{Program, ResourceUsage, binary, command, free_port};
pub use reply::Reply;
pub use request::{Part, Request};
pub use tenant::{DATABASE, admin, fast_tenant, management_token, sign_in, start_tenant, valid_users};
pub use test_server::TestServer;
pub use tokens::{SECRET, decode_claims, hook_claims, now, person, session_claims, sign_token};
pub use waiting::{TIMEOUT, poll, poll_for, wait_for};
