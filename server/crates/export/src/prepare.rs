//! Prepares an export before its job is stored: checks the settings and the connection.

use super::request::ExportRequest;
use super::spec::ExportSpec;
use uie_auth0::ManagementClient;
use uie_core::blocking::run_blocking;
use uie_core::error::Result;
use uie_expression::TransformContext;

/// An export whose settings and connection are checked.
#[derive(Clone, Debug)]
pub struct PreparedExport {
    /// The validated settings.
    pub spec: ExportSpec,
    /// Name of the connection; `None` for all connections.
    pub connection: Option<String>,
}

impl PreparedExport {
    /// Prepares an export. Opens the tools of transforms only if an expression needs them, and requests the connection
    /// from Auth0 if there is one.
    ///
    /// Fails if the settings are invalid or the connection does not exist.
    pub async fn new(
        request: ExportRequest,
        sort_memory: u64,
        open_tools: impl FnOnce() -> Result<TransformContext> + Send + 'static,
        client: impl FnOnce() -> Result<ManagementClient>,
    ) -> Result<Self> {
        // Blocking: the first compilation of the JavaScript engine takes a second or two.
        let spec = move || ExportSpec::with_tools_if_needed(&request, sort_memory, open_tools);
        let spec = run_blocking(spec).await?;
        let connection = match spec.connection() {
            Some(connection) => Some(client()?.connection(connection).await?.name),
            None => None,
        };
        Ok(Self { spec, connection })
    }
}
