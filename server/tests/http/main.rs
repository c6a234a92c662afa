//! The HTTP interface, in process: every route through the application as `serve` assembles it, with a
//! tenant on loopback that says exactly what a test wants it to say.

mod access;
mod hostile;
mod jobs;
mod metrics;
mod process;
mod server;
mod tenant;
mod transforms;
