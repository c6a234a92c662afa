use transforms_sdk::prelude::*;

/// Forgets.
#[transform]
fn forget(text: &str) {
    drop(text);
}

fn main() {}
