//! Tests of the HTTP interface, in process: every route of the application that `serve` starts, with a scripted login
//! tenant on loopback.

mod access;
mod hostile_transforms;
mod jobs;
mod login_tenant;
mod metrics;
mod server_process;
mod test_server;
mod transforms;
