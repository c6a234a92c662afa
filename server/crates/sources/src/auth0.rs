//! Users of Auth0 itself: from the Management API, or an export of complete users.

use crate::source::{SOURCE, Source};

/// Never detected: `--drop-read-only` and `--source auth0` remove what Auth0 sets itself, and nothing else changes.
pub(crate) static AUTH0: Source = Source { name: "auth0", title: "Auth0", is_auth0: true, ..SOURCE };
