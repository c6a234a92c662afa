//! The product as a running process.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use simulated_tenant::{Control, Tenant, TenantSettings};
use tempfile::TempDir;

use crate::{PATIENCE, command};

/// A process that serves HTTP; ends when dropped. What it logged is shown when a test fails.
#[derive(Debug)]
pub struct Program {
    command: Command,
    process: Child,
    directory: TempDir,
    address: String,
}

impl Program {
    /// Starts the binary with these arguments and settings and waits until `address` answers.
    pub async fn start(address: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let log = File::create(directory.path().join("log")).expect("a log file");
        let mut command = command(directory.path());
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        prepare(&mut command);
        let process = command.spawn().expect("the binary starts");
        let mut program = Self { command, process, directory, address: address.to_owned() };
        program.wait_until_ready().await;
        program
    }

    /// Kills the process at once (SIGKILL), wherever it is.
    pub fn kill(&mut self) {
        self.process.kill().expect("the process can be killed");
        self.process.wait().expect("the state of a child");
    }

    /// Starts it again after it ended, in the same directory and with the same settings.
    pub async fn start_again(&mut self) {
        self.process = self.command.spawn().expect("the binary starts");
        self.wait_until_ready().await;
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where it runs and keeps its data (`data`).
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    async fn wait_until_ready(&mut self) {
        let health = format!("{}/healthz", self.address);
        let end = Instant::now() + PATIENCE;
        loop {
            if let Ok(reply) = reqwest::get(&health).await
                && reply.status().is_success()
            {
                return;
            }
            if let Some(status) = self.process.try_wait().expect("the state of a child") {
                panic!("the server ended with {status} while it started");
            }
            assert!(Instant::now() < end, "{health} does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Its base URL, without a trailing slash.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_child(&self.process);
        rustix::process::kill_process(id, signal).expect("the process is there");
    }

    /// Its exit status, once it has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().expect("the state of a child") {
                return status;
            }
            assert!(Instant::now() < end, "the server does not end:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it wrote to standard output and standard error so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
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
    /// The tenant of `serve`, which runs in this process.
    own: Option<Tenant>,
}

impl Installation {
    /// `user-import-export demo` with this many generated users, on free ports.
    pub async fn demo(users: u64) -> Self {
        let (port, tenant_port) = (free_port(), free_port());
        let program = Program::start(&format!("http://127.0.0.1:{port}"), |command| {
            command.args(["demo", "--users", &users.to_string(), "--port", &port.to_string()]);
            command.args(["--tenant-port", &tenant_port.to_string()]);
        })
        .await;
        Self { program, tenant: format!("http://127.0.0.1:{tenant_port}"), own: None }
    }

    /// `user-import-export serve` for a simulated tenant with this many generated users; `settings` are
    /// added to those it needs.
    pub async fn serve(users: u64, settings: &[(&str, &str)]) -> Self {
        Self::serve_tenant(TenantSettings { users, ..TenantSettings::default() }, settings).await
    }

    /// `user-import-export serve` for a simulated tenant that is set up like this.
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
        Self { program, tenant: tenant.url(), own: Some(tenant) }
    }

    /// The address of a page or route; `path` starts with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.program.address())
    }

    /// What the simulated tenant of `serve` does beside answering.
    ///
    /// # Panics
    /// With `demo`, whose tenant runs in the other process.
    pub fn control(&self) -> Control {
        self.own.as_ref().expect("a tenant of its own").control()
    }

    /// The simulated tenant, without a trailing slash.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }
}

/// A port nobody listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("the address of a listener").port()
}
