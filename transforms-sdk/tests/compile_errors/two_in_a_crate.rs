use transforms_sdk::prelude::*;

mod shouting {
    use transforms_sdk::prelude::*;

    /// Shouts.
    #[transform]
    fn shout(text: &str) -> String {
        text.to_uppercase()
    }
}

/// Whispers.
#[transform]
fn whisper(text: &str) -> String {
    text.to_lowercase()
}

fn main() {}
