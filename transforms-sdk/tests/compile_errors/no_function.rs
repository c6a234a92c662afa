use transforms_sdk::prelude::*;

/// Holds.
#[transform]
struct Held(String);

fn main() {}
