//! Fuzz targets. Each target takes any bytes, calls the product with them, and panics if an invariant is violated.
//!
//! libFuzzer runs the targets on nightly (`tests/fuzz/run`); a test of this crate runs them over the stored corpora on
//! stable. Targets are deterministic, so that a failing input can be reproduced.

mod auth0_answers;
mod export;
mod expression;
mod fixture;
mod import;
mod login;
mod mutator;
mod query;
mod readers;
mod records;
mod stub_server;
mod tokens;
mod transform_intake;
mod upload;

pub use auth0_answers::auth0_answers;
pub use export::export;
pub use expression::expression;
pub use import::{import_files, import_rows};
pub use login::{key_set, login, logout_tokens};
pub use mutator::Mutator;
pub use query::query;
pub use readers::readers;
pub use tokens::tokens;
pub use transform_intake::transform_intake;
pub use upload::upload;

/// A target: its name, which is also the name of its corpus, and the function to call with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
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
