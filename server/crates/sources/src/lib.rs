//! Sources: systems whose exports an import recognizes and converts to the attributes of Auth0 (`--source`).
//!
//! One file per source, with a table ([`Field`]: attribute there, attribute here, [`Convert`]) and code only where a
//! table is not enough. [`ALL`] lists them; [`detect`] finds the source of a file by the names of its attributes;
//! [`Source::convert`] converts a row. What Auth0 cannot take is a [`Loss`], which an import reports once per kind.
//!
//! To add a source: write `<name>.rs` with a `pub(crate) static SOURCE: Source`, list it in [`ALL`], add examples to
//! `cases/<name>/` (an export, and the users expected from it), and describe it in `docs/sources/<name>.md`.

mod aspnet;
mod auth0;
mod auth0_hashes;
mod bits;
mod clerk;
mod cognito;
mod converted;
mod devise;
mod django;
mod drupal;
mod entra;
mod field;
mod firebase;
mod hash;
mod keycloak;
mod laravel;
mod ldap;
mod losses;
mod okta;
mod phone;
mod registry;
mod row;
mod sample;
mod source;
mod supabase;
mod table_export;
mod time;
mod wordpress;

pub use converted::{Converted, Loss, LossKind};
pub use field::{Convert, Field};
pub use registry::{ALL, detect, find};
pub use sample::{Layout, Sample};
pub use source::{Source, SourceName};
