//! Tests of the HTTP interface: every route of the application that `serve` starts, in this process, with a simulated
//! tenant or a scripted login tenant on loopback.

mod access;
mod hostile_transforms;
mod jobs;
mod login_tenant;
mod metrics;
mod snapshots;
mod transforms;
