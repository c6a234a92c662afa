//! Conformance tests of the simulated tenant: the facts of docs/auth0/README.md, and other behavior that the product
//! uses.

mod support;

mod connections;
mod exports;
mod faults;
mod imports;
mod logs;
mod rules;
mod sign_in;
mod users;
