use transforms_sdk::prelude::*;

/// Says when.
#[transform]
fn when(text: &str) -> Option<std::time::Duration> {
    text.parse().ok().map(std::time::Duration::from_secs)
}

fn main() {}
