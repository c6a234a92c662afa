use transforms_sdk::prelude::*;

/// Shouts.
#[transform(name = "cry")]
fn shout(text: &str) -> String {
    text.to_uppercase()
}

fn main() {}
