//! The tenant's own conformance suite: what stands in the contract's section 12, and the rest of what
//! the product relies on.

mod support;

mod connections;
mod exports;
mod faults;
mod imports;
mod logs;
mod rules;
mod sign_in;
mod users;
