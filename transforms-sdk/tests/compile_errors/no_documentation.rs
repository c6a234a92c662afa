use transforms_sdk::prelude::*;

#[transform]
fn shout(text: &str) -> String {
    text.to_uppercase()
}

fn main() {}
