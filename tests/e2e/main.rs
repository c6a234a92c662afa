//! The product from the outside: the real binary, a real browser, the simulated tenant.

mod cli;
mod disk;
mod embedded;
mod export;
mod journey;
mod kill;
mod large;
mod pages;
mod people;
mod transforms;
