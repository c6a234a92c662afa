//! Keeps rendered pages, so that a request does not render one again.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use uie_core::error::Result;
use uie_core::language::Language;

/// Placeholder of the nonce in a rendered page: a private-use character, which no template and no setting contains.
pub(super) const NONCE_PLACEHOLDER: &str = "\u{f8ff}";

/// What a rendered page depends on, apart from the settings and the nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PageKey {
    /// The template.
    pub(super) template: &'static str,
    /// The guide that the template shows; empty for other templates.
    pub(super) guide: &'static str,
    /// The language.
    pub(super) language: Language,
}

/// Rendered pages with default display options. Holds at most one text per page and language. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct PageCache(Arc<RwLock<BTreeMap<PageKey, Arc<str>>>>);

impl PageCache {
    /// Returns a page, which has [`NONCE_PLACEHOLDER`] instead of a nonce. `render` creates it at first use.
    pub(super) fn get(&self, key: PageKey, render: impl FnOnce() -> Result<String>) -> Result<Arc<str>> {
        let cached = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(page) = cached {
            return Ok(page);
        }
        let page: Arc<str> = render()?.into();
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&page));
        Ok(page)
    }
}
