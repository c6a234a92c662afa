//! The product from the outside: the real binary, a real browser, the simulated tenant.

mod bars;
mod bodies;
mod cli;
mod clock;
mod disk;
mod embedded;
mod export;
mod export_page;
mod faults;
mod hostile;
mod import_page;
mod interrupted;
mod journey;
mod keyboard;
mod kill;
mod large;
mod looks;
mod marks;
mod people;
mod pictures;
mod pressure;
mod protection;
mod proxy;
mod soak;
mod transforms;
mod transforms_page;
