//! Helpers for end-to-end tests: the test kit, whose servers are processes of the real binary, and a real browser. All
//! processes end with the test, also if it panics.

mod axe;
mod browser;

pub use browser::{Browser, DOWN, ENTER, ESCAPE, Element, Network, SPACE, TAB, browser};
pub use test_kit::*;
