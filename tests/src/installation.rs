//! The product as a running process.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use simulated_tenant::{Control, Tenant, TenantSettings};
use tempfile::TempDir;

use crate::{TIMEOUT, command};

/// A process that serves HTTP, killed when dropped. Its log is printed if the test fails.
#[derive(Debug)]
pub struct Program {
    command: Command,
    process: Child,
    directory: TempDir,
    address: String,
}

impl Program {
    /// Starts the binary, with arguments and settings from `prepare`, and waits until `/healthz` at `address` succeeds.
    pub async fn start(address: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let log = File::create(directory.path().join("log")).expect("a log file");
        let mut command = command(directory.path());
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        prepare(&mut command);
        let process = command.spawn().expect("the binary starts");
        let mut program = Self { command, process, directory, address: address.to_owned() };
        program.wait_until_healthy().await;
        program
    }

    /// Kills the process with SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill().expect("the process can be killed");
        self.process.wait().expect("the state of a child");
    }

    /// Starts the process again after it ended, with the same directory and settings.
    pub async fn restart(&mut self) {
        self.process = self.command.spawn().expect("the binary starts");
        self.wait_until_healthy().await;
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns its working directory, which contains the data directory `data`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    async fn wait_until_healthy(&mut self) {
        let health = format!("{}/healthz", self.address);
        let end = Instant::now() + TIMEOUT;
        loop {
            if let Ok(reply) = reqwest::get(&health).await
                && reply.status().is_success()
            {
                return;
            }
            if let Some(status) = self.process.try_wait().expect("the state of a child") {
                panic!("the server exited with {status} while it started");
            }
            assert!(Instant::now() < end, "{health} does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Returns the base URL without a trailing slash.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_child(&self.process);
        rustix::process::kill_process(id, signal).expect("the process is there");
    }

    /// Waits until the process exits and returns its exit status.
    pub async fn wait_for_exit(&mut self) -> ExitStatus {
        let end = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = self.process.try_wait().expect("the state of a child") {
                return status;
            }
            assert!(Instant::now() < end, "the server does not end:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns its standard output and standard error so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only if the process has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("--- log of {}\n{}---", self.address, self.log());
        }
    }
}

/// A server with a simulated tenant.
#[derive(Debug)]
pub struct Installation {
    program: Program,
    tenant: String,
    /// The tenant of `serve`, which runs in this process. `None` with `demo`.
    own_tenant: Option<Tenant>,
}

impl Installation {
    /// Starts `user-import-export demo` with this many generated users, on free ports.
    pub async fn demo(users: u64) -> Self {
        let (port, tenant_port) = (free_port(), free_port());
        let program = Program::start(&format!("http://127.0.0.1:{port}"), |command| {
            command.args(["demo", "--users", &users.to_string(), "--port", &port.to_string()]);
            command.args(["--tenant-port", &tenant_port.to_string()]);
        })
        .await;
        Self { program, tenant: format!("http://127.0.0.1:{tenant_port}"), own_tenant: None }
    }

    /// Starts `user-import-export serve` for a simulated tenant with this many generated users. `settings` are added to
    /// the required ones.
    pub async fn serve(users: u64, settings: &[(&str, &str)]) -> Self {
        Self::serve_tenant(TenantSettings { users, ..TenantSettings::default() }, settings).await
    }

    /// Starts `user-import-export serve` for a simulated tenant with these settings.
    pub async fn serve_tenant(tenant: TenantSettings, settings: &[(&str, &str)]) -> Self {
        let tenant = Tenant::start(tenant).await.expect("the simulated tenant starts");
        let port = free_port();
        let program = Program::start(&format!("http://127.0.0.1:{port}"), |command| {
            command.arg("serve").env("PORT", port.to_string());
            command.env("AUTH0_DOMAIN", tenant.url()).env("AUTH0_RTA", tenant.url());
            command.env("AUTH0_CLIENT_ID", tenant.client_id()).env("AUTH0_CLIENT_SECRET", tenant.client_secret());
            command.env("EXTENSION_SECRET", "4be19c7702d85fa3c6f0718d2e9a53b4").envs(settings.iter().copied());
        })
        .await;
        Self { program, tenant: tenant.url(), own_tenant: Some(tenant) }
    }

    /// Returns the URL of a page or route; `path` starts with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.program.address())
    }

    /// Returns the control of the simulated tenant.
    ///
    /// # Panics
    /// With `demo`, whose tenant runs in another process.
    pub fn control(&self) -> Control {
        self.own_tenant.as_ref().expect("a tenant in this process").control()
    }

    /// Returns the URL of the simulated tenant without a trailing slash.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }
}

/// Returns a port that is free now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("the address of a listener").port()
}
