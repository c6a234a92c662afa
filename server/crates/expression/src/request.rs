//! Requests with expressions, in the forms in which they are stored and shown.

use std::fmt;
use std::sync::Arc;

use super::evaluate::{Formula, Pins};

/// A request with expressions.
pub trait ExpressionRequest: Clone + PartialEq {
    /// Returns every expression in the request.
    fn expressions(&mut self) -> Vec<&mut String>;

    /// Returns the versions of transforms that the request pins.
    fn pins(&mut self) -> &mut Pins;
}

/// A request whose expressions are checked: with the versions of all transforms that they call, so that later uploads
/// do not change its result, and without its secret literals. Cheap to clone.
#[derive(Clone)]
pub struct ResolvedRequest<R> {
    pinned: Arc<R>,
    masked: Option<Arc<R>>,
}

impl<R: ExpressionRequest> ResolvedRequest<R> {
    /// Resolves a request. `formulas` are those of [`ExpressionRequest::expressions`], in the same order; `None` for an
    /// expression that is not computed.
    pub fn new<'f>(request: &R, formulas: impl IntoIterator<Item = Option<&'f Formula>>) -> Self {
        let formulas: Vec<Option<&Formula>> = formulas.into_iter().collect();
        let mut pinned = request.clone();
        *pinned.pins() = formulas.iter().flatten().flat_map(|formula| formula.pins().clone()).collect();
        let mut masked = pinned.clone();
        for (source, formula) in masked.expressions().into_iter().zip(formulas) {
            if let Some(formula) = formula
                && formula.masked_source() != source.trim()
            {
                formula.masked_source().clone_into(source);
            }
        }
        let masked = (masked != pinned).then(|| Arc::new(masked));
        Self { pinned: Arc::new(pinned), masked }
    }

    /// Changes all forms of the request; `change` must not touch its expressions.
    pub fn update(&mut self, change: impl Fn(&mut R)) {
        change(Arc::make_mut(&mut self.pinned));
        self.masked.as_mut().map(Arc::make_mut).map(change);
    }

    /// Returns the complete request with its pinned transforms.
    pub fn pinned(&self) -> &R {
        &self.pinned
    }

    /// Returns the request with every secret literal replaced by `***`; `None` if it holds no secrets.
    pub fn masked(&self) -> Option<&R> {
        self.masked.as_deref()
    }

    /// Returns the request as it may be shown.
    pub fn shown(&self) -> &R {
        self.masked.as_ref().unwrap_or(&self.pinned)
    }
}

impl<R: ExpressionRequest + fmt::Debug> fmt::Debug for ResolvedRequest<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown().fmt(f)
    }
}
