use transforms_sdk::prelude::*;

/// Escapes.
#[transform]
fn escape(text: &str) -> String {
    text.escape_default().to_string()
}

fn main() {}
