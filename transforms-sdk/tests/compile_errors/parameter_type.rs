use transforms_sdk::prelude::*;

/// Waits.
#[transform]
fn wait(duration: std::time::Duration, text: &str) -> String {
    format!("{duration:?} {text}")
}

fn main() {}
