//! The validated settings of an import, with its compiled mapping.

use std::sync::Arc;

use super::mapping::Mapping;
use super::request::ImportRequest;
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_expression::TransformContext;

/// Validated settings of an import, with the compiled mapping. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ImportSpec {
    request: Arc<ImportRequest>,
    mapping: Arc<Mapping>,
}

impl ImportSpec {
    /// Validates settings whose mapping uses paths only; fails for transform calls and JavaScript.
    pub fn new(request: &ImportRequest) -> Result<Self> {
        Self::build(request, None)
    }

    /// Validates settings whose mapping may also call transforms and use JavaScript. Blocking: compiling an engine
    /// for the first time takes one or two seconds.
    pub fn with_tools(request: &ImportRequest, tools: &TransformContext) -> Result<Self> {
        Self::build(request, Some(tools))
    }

    fn build(request: &ImportRequest, tools: Option<&TransformContext>) -> Result<Self> {
        let wrong = |message: Message| Error::new(Code::InvalidBody, message);
        if request.look_up && !request.dry_run {
            return Err(wrong(message!("Users are looked up in a dry run only."))
                .with_hint(message!("Set dry_run (--dry-run) too, or leave look_up (--look-up) out.")));
        }
        if request.look_up && request.connection_id.is_empty() {
            return Err(wrong(message!("Looking users up needs a connection."))
                .with_hint(message!("Name the connection they would be imported into.")));
        }
        if request.backup && (request.dry_run || !request.upsert) {
            return Err(wrong(message!("There is something to back up only in an import with upsert."))
                .with_hint(message!("Leave backup out; only an upsert that is no dry run changes users.")));
        }
        let tools = tools.map(|tools| tools.with_pins(&request.transforms));
        let mapping = Mapping::from_request(request, tools.as_ref())?;
        Ok(Self { request: Arc::new(request.clone()), mapping: Arc::new(mapping) })
    }

    /// The settings.
    pub fn request(&self) -> &ImportRequest {
        &self.request
    }

    /// The compiled mapping.
    pub(super) fn mapping(&self) -> &Mapping {
        &self.mapping
    }
}
