//! The tenant's own conformance suite: the facts of docs/auth0/README.md, and the rest of what the product relies on.

mod support;

mod connections;
mod exports;
mod faults;
mod imports;
mod logs;
mod rules;
mod sign_in;
mod users;
