//! The author's day: from nothing to a transform in use.
