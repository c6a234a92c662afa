use transforms_sdk::prelude::*;

/// Shouts.
#[transform(example("shout(user.email)" => "A"))]
fn shout(text: &str) -> String {
    text.to_uppercase()
}

fn main() {}
