//! The validated settings of an import, with its compiled mapping.

use std::sync::Arc;

use super::mapping::{Mapping, ParsedRules};
use super::read::HeaderPolicy;
use super::request::ImportRequest;
use super::row_filter::RowFilter;
use super::source_choice::SourceChoice;
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_expression::{ResolvedRequest, TransformContext};
use uie_query::Remark;

/// Validated settings of an import, with the compiled mapping. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ImportSpec {
    request: ResolvedRequest<ImportRequest>,
    mapping: Arc<Mapping>,
    source: SourceChoice,
}

impl ImportSpec {
    /// Validates settings whose mapping uses paths only; fails for transform calls and JavaScript.
    pub fn new(request: &ImportRequest) -> Result<Self> {
        Self::build(request, |_| Ok(None))
    }

    /// Validates settings whose mapping may also call transforms and use JavaScript. Blocking: compiling an engine
    /// for the first time takes one or two seconds.
    pub fn with_tools(request: &ImportRequest, tools: &TransformContext) -> Result<Self> {
        Self::build(request, |_| Ok(Some(tools.clone())))
    }

    /// Like [`ImportSpec::with_tools`], but opens the tools only if an expression needs them.
    pub fn with_tools_if_needed(
        request: &ImportRequest,
        open_tools: impl FnOnce() -> Result<TransformContext>,
    ) -> Result<Self> {
        Self::build(request, |rules| if rules.have_only_paths() { Ok(None) } else { open_tools().map(Some) })
    }

    fn build(
        request: &ImportRequest,
        tools: impl FnOnce(&ParsedRules<'_>) -> Result<Option<TransformContext>>,
    ) -> Result<Self> {
        check_options(request)?;
        let source = SourceChoice::parse(request.source.as_deref())?;
        let rules = ParsedRules::parse(&request.map)?;
        let tools = tools(&rules)?.map(|tools| tools.with_pins(&request.transforms));
        let (mapping, formulas) = Mapping::from_request(request, &rules, tools.as_ref(), source)?;
        let request = ResolvedRequest::new(request, formulas.iter().map(Option::as_ref));
        Ok(Self { request, mapping: Arc::new(mapping), source })
    }

    /// Returns the import into another connection, by its id.
    pub(super) fn with_connection(mut self, id: &str) -> Self {
        if self.request().connection_id != id {
            self.request.update(|request| id.clone_into(&mut request.connection_id));
        }
        self
    }

    /// Returns the settings.
    pub fn request(&self) -> &ImportRequest {
        self.request.pinned()
    }

    /// Returns the settings in the forms in which they are stored and shown.
    pub fn resolved_request(&self) -> &ResolvedRequest<ImportRequest> {
        &self.request
    }

    /// How the source of a file is decided.
    pub(super) fn source(&self) -> SourceChoice {
        self.source
    }

    /// Returns how the files are read.
    pub(super) fn headers(&self) -> HeaderPolicy {
        HeaderPolicy { encoding: self.request().encoding, ..self.mapping.headers() }
    }

    /// Returns remarks about the query that its author may not expect, such as the precedence of AND and OR.
    pub fn remarks(&self) -> &[Remark] {
        self.mapping.filter().map_or(&[], RowFilter::remarks)
    }

    /// The compiled mapping.
    pub(super) fn mapping(&self) -> &Mapping {
        &self.mapping
    }
}

/// Checks the options that do not depend on the mapping.
fn check_options(request: &ImportRequest) -> Result<()> {
    let wrong = |message: Message| Error::new(Code::InvalidBody, message);
    if request.look_up && !request.dry_run {
        return Err(wrong(message!("Users are looked up in a dry run only."))
            .with_hint(message!("Set dry_run (--dry-run) too, or leave look_up (--look-up) out.")));
    }
    if request.look_up && request.connection_id.is_empty() {
        return Err(wrong(message!("Looking users up needs a connection."))
            .with_hint(message!("Name the connection they would be imported into.")));
    }
    if request.null.iter().any(String::is_empty) {
        return Err(wrong(message!("The text that means an absent value is empty."))
            .with_hint(message!(
                "Empty cells are absent anyway; empty strings are left out with drop_empty (--drop-empty)."
            ))
            .with_field("null"));
    }
    if request.backup && (request.dry_run || !request.upsert) {
        return Err(wrong(message!("There is something to back up only in an import with upsert."))
            .with_hint(message!("Leave backup out; only an upsert that is no dry run changes users.")));
    }
    Ok(())
}
