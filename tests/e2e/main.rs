//! The product from the outside: the real binary, a real browser, the simulated tenant.

mod cli;
mod embedded;
mod faults;
mod journey;
mod marks;
mod pages;
mod people;
mod pressure;
mod transforms;
