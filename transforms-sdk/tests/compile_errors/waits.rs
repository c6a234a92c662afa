use transforms_sdk::prelude::*;

/// Shouts.
#[transform]
async fn shout(text: &str) -> String {
    text.to_uppercase()
}

fn main() {}
