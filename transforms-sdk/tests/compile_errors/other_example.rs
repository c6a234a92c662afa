use transforms_sdk::prelude::*;

/// Shouts.
#[transform(example(r#"shuot("a")"# => "A"))]
fn shout(text: &str) -> String {
    text.to_uppercase()
}

fn main() {}
