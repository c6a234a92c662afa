//! The product from the outside: the real binary, a real browser, the simulated tenant.

mod cli;
mod embedded;
mod journey;
mod pages;
mod people;
mod soak;
mod transforms;
