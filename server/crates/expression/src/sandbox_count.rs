//! The limit on sandboxes that the expressions of one request need.

use super::expression::Expression;
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;

/// The maximum number of sandboxes for all expressions of one request, nested calls included. Each sandbox has its own
/// memory on each thread.
pub const MAX_SANDBOXES: usize = 100;

/// Counts the sandboxes that the expressions of one request need, before any of them is started.
#[derive(Debug, Default)]
pub struct SandboxCount(usize);

impl SandboxCount {
    /// Adds the sandboxes of one more expression. Fails with `code` above [`MAX_SANDBOXES`].
    pub fn add(&mut self, expression: &Expression, code: Code) -> Result<()> {
        self.0 = self.0.saturating_add(expression.sandbox_count());
        if self.0 > MAX_SANDBOXES {
            return Err(Error::new(
                code,
                message!(
                    "More than {limit} values are computed by transforms or JavaScript, nested calls included.",
                    limit = MAX_SANDBOXES
                ),
            ));
        }
        Ok(())
    }
}
