//! The state of the runner, which the jobs that it runs share.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::credentials::ClientProvider;
use super::download_tokens::DownloadTokens;
use super::fair_semaphore::FairSemaphore;
use super::quota::ConcurrencyQuota;
use uie_core::blocking::run_blocking;
use uie_core::config::Settings;
use uie_core::error::Result;
use uie_core::progress::Progress;
use uie_export::{ExportRequest, ExportSpec};
use uie_expression::TransformContext;
use uie_import::{ImportRequest, ImportSpec};
use uie_sandbox::Sandbox;
use uie_store::Store;

/// Memory in bytes that a sort may use before it spills to disk; the default of `--sort-memory`.
pub const SORT_MEMORY: u64 = 64 << 20;

/// The state of the runner.
#[derive(Debug)]
pub(super) struct RunnerState {
    pub(super) store: Store,
    pub(super) settings: Arc<Settings>,
    pub(super) base_url: Arc<str>,
    pub(super) tenant: String,
    pub(super) client_provider: ClientProvider,
    pub(super) sandbox: Sandbox,
    pub(super) running: Mutex<HashMap<String, Running>>,
    pub(super) download_tokens: DownloadTokens,
    pub(super) quota: ConcurrencyQuota,
    /// Auth0 runs two import jobs at the same time per tenant, and one import already uses both.
    pub(super) imports: Semaphore,
    /// Auth0 documents no limit for exports (docs/auth0/open-questions.md#concurrent-exports), so this one is low;
    /// exports also wait when Auth0 answers with 429.
    pub(super) exports: Semaphore,
    /// For previews and file inspections. The limit per user is the number of processors.
    pub(super) previews: FairSemaphore,
    /// Changes at every sign-in, to wake jobs that wait for a token.
    pub(super) sign_ins: watch::Sender<u64>,
    pub(super) tasks: TaskTracker,
    /// Whether new jobs are refused. Running jobs continue.
    pub(super) draining: AtomicBool,
    pub(super) stopping: CancellationToken,
}

/// A job that runs in this process.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) progress: Arc<Progress>,
}

impl RunnerState {
    /// Returns a function that opens the transforms that are available now. May read the catalog from disk.
    pub(super) fn tools(&self) -> impl FnOnce() -> Result<TransformContext> + Send + use<> {
        let (sandbox, settings) = (self.sandbox.clone(), Arc::clone(&self.settings));
        move || Ok(TransformContext::new(&sandbox, &settings.secrets))
    }

    /// Validates a request for an export against the transforms that are available now.
    pub(super) async fn export_spec(&self, request: &ExportRequest) -> Result<ExportSpec> {
        let (request, tools) = (request.clone(), self.tools());
        // Blocking: the first compilation of the JavaScript engine takes a second or two.
        run_blocking(move || ExportSpec::with_tools_if_needed(&request, SORT_MEMORY, tools)).await
    }

    /// Validates the mapping of an import against the transforms that are available now.
    pub(super) async fn import_spec(&self, request: &ImportRequest) -> Result<ImportSpec> {
        let (request, tools) = (request.clone(), self.tools());
        run_blocking(move || ImportSpec::with_tools_if_needed(&request, tools)).await
    }
}
