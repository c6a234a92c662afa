use transforms_sdk::prelude::*;

/// Shouts.
#[transform]
fn shout<T: AsRef<str>>(text: T) -> String {
    text.as_ref().to_uppercase()
}

fn main() {}
