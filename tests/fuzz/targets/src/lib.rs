//! What is fuzzed: every target takes any bytes, calls the product with them, and panics where something
//! does not hold that must always hold.
//!
//! libFuzzer runs the targets on nightly (`tests/fuzz/run`); a test of this crate runs them over the kept
//! corpora on stable. A target does the same for the same bytes, so that an input that was found can be
//! looked at again.

mod auth0;
mod export;
mod expression;
mod fixture;
mod import;
mod intake;
mod login;
mod loopback;
mod mutate;
mod query;
mod readers;
mod tokens;
mod upload;

pub use auth0::auth0_answers;
pub use export::export;
pub use expression::expression;
pub use import::{import_files, import_rows};
pub use intake::transform_intake;
pub use login::{key_set, login, logout_tokens};
pub use mutate::Mutator;
pub use query::query;
pub use readers::readers;
pub use tokens::tokens;
pub use upload::upload;

/// A target: its name, which is that of its corpus too, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("auth0_answers", auth0_answers),
    ("export", export),
    ("expression", expression),
    ("import_files", import_files),
    ("import_rows", import_rows),
    ("key_set", key_set),
    ("login", login),
    ("logout_tokens", logout_tokens),
    ("query", query),
    ("readers", readers),
    ("tokens", tokens),
    ("transform_intake", transform_intake),
    ("upload", upload),
];
