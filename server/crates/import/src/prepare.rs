//! Prepares an import before its job is stored: checks the permission, the settings and the connection.

use super::request::ImportRequest;
use super::spec::ImportSpec;
use uie_auth0::ManagementClient;
use uie_core::blocking::run_blocking;
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_core::permissions::Permission;
use uie_core::principal::Principal;
use uie_expression::TransformContext;

/// An import whose settings and connection are checked; its files are checked by
/// [`validate_upload`](crate::validate_upload).
#[derive(Clone, Debug)]
pub struct PreparedImport {
    /// The validated settings.
    pub spec: ImportSpec,
    /// Name of the connection; `None` for a dry run without one.
    pub connection: Option<String>,
}

impl PreparedImport {
    /// Prepares an import for a user. Opens the tools of transforms only if the mapping needs them, and requests the
    /// connection from Auth0 if there is one.
    ///
    /// Fails with [`Code::InsufficientScope`] without `create:users`, unless the import is a dry run, and if the
    /// settings are invalid or users cannot be imported into the connection.
    pub async fn new(
        principal: &Principal,
        request: ImportRequest,
        open_tools: impl FnOnce() -> Result<TransformContext> + Send + 'static,
        client: impl FnOnce() -> Result<ManagementClient>,
    ) -> Result<Self> {
        require_import_permission(principal, request.dry_run)?;
        let connection_id = request.connection_id.clone();
        if connection_id.is_empty() && !request.dry_run {
            return Err(Error::new(Code::InvalidBody, message!("Must provide 'connection_id' as multipart part."))
                .with_hint(message!("Send the id of a database connection; GET /api/connections lists them."))
                .with_field("connection_id"));
        }
        // Blocking: the first compilation of the JavaScript engine takes a second or two.
        let spec = run_blocking(move || ImportSpec::with_tools_if_needed(&request, open_tools)).await?;
        if connection_id.is_empty() {
            return Ok(Self { spec, connection: None });
        }
        let connection = client()?.importable_connection(&connection_id).await?;
        Ok(Self { spec: spec.with_connection(&connection.id), connection: Some(connection.name) })
    }
}

/// Fails with [`Code::InsufficientScope`] unless the user has `create:users` or the import is a dry run.
pub fn require_import_permission(principal: &Principal, dry_run: bool) -> Result<()> {
    if dry_run { Ok(()) } else { principal.permissions.require(&[Permission::CreateUsers]) }
}
