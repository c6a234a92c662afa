//! A server as a process of the real binary.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;

use reqwest::redirect::Policy;
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use crate::harness::Backend;
use crate::reply::Reply;
use crate::request::Request;
use crate::waiting::poll;

/// Returns the path of the product's binary: `PRODUCT_BINARY` if set, otherwise the one of this test's profile,
/// rebuilt if its sources changed.
pub fn binary() -> &'static PathBuf {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
        // For example a binary of another profile. Cargo sets the other variable for the tests and benchmarks of the
        // package of the binary.
        for name in ["PRODUCT_BINARY", "CARGO_BIN_EXE_user-import-export"] {
            if let Some(path) = std::env::var_os(name) {
                return PathBuf::from(path);
            }
        }
        // A test's own path is <target>/<profile>/deps/<name>.
        let test = std::env::current_exe().expect("a running test has a path");
        let profile = test.ancestors().nth(2).expect("a test lies in a target directory").to_owned();
        let target = profile.parent().expect("a profile lies in a target directory");
        let profile_name = match profile.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(name) => name,
        };
        let status = Command::new(env!("CARGO"))
            // The same selection of features as `cargo test --workspace`, which has built all this already:
            // an integration test needs its package's binary.
            .args(["test", "--quiet", "--locked", "--workspace", "--no-run", "--test", "http"])
            .args(["--profile", profile_name])
            .arg("--target-dir")
            .arg(target)
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
            .status()
            .expect("cargo runs");
        assert!(status.success(), "the product does not build");
        profile.join(format!("user-import-export{}", std::env::consts::EXE_SUFFIX))
    });
    &BINARY
}

/// Returns a command for the binary that runs in `directory` without the environment of this process.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new(binary());
    command.env_clear().current_dir(directory).env("DATA_DIR", directory.join("data"));
    for name in ["PATH", "HOME", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Returns a port that is free now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("the address of a listener").port()
}

/// A process that serves HTTP, killed when dropped. Its log is printed if the test fails.
#[derive(Debug)]
pub struct Program {
    /// The HTTP client, which does not follow redirects.
    pub client: reqwest::Client,
    command: Command,
    process: Child,
    directory: TempDir,
    address: String,
    base_url: String,
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
        let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().expect("an HTTP client");
        let (address, base_url) = (address.to_owned(), address.to_owned());
        let mut program = Self { client, command, process, directory, address, base_url };
        program.wait_until_healthy().await;
        program
    }

    /// Sends the requests of a [`Harness`](crate::Harness) to another base URL, that of a proxy.
    #[must_use]
    pub fn with_base_url(self, base_url: &str) -> Self {
        let base_url = base_url.to_owned();
        let mut program = self;
        program.base_url = base_url;
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

    /// Returns its working directory, which contains the data directory `data`, unless the settings name another one.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns its data directory.
    pub fn data(&self) -> PathBuf {
        let data = self.command.get_envs().find(|(name, _)| *name == "DATA_DIR").and_then(|(_, value)| value);
        PathBuf::from(data.expect("always set"))
    }

    async fn wait_until_healthy(&mut self) {
        let health = format!("{}/healthz", self.address);
        poll(async || {
            if let Some(status) = self.process.try_wait().expect("the state of a child") {
                panic!("the server exited with {status} while it started");
            }
            match self.client.get(&health).send().await {
                Ok(reply) if reply.status().is_success() => Ok(()),
                _ => Err(format!("{health} does not answer")),
            }
        })
        .await;
    }

    /// Returns the address of the process, a URL without a trailing slash.
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
        poll(async || self.process.try_wait().expect("the state of a child").ok_or("the server does not end")).await
    }

    /// Returns its standard output and standard error so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Waits until the log contains `text` after byte `from`.
    pub async fn wait_for_log(&self, from: usize, text: &str) {
        let is_logged = || self.log().get(from..).is_some_and(|log| log.contains(text));
        poll(async || is_logged().then_some(()).ok_or(format!("not logged: {text}"))).await;
    }

    /// Returns its resource usage. `None` if the system does not report it.
    pub fn resource_usage(&self) -> Option<ResourceUsage> {
        ResourceUsage::of(self.id())
    }
}

impl Backend for Program {
    fn base_url(&self) -> &str {
        &self.base_url
    }

    async fn send(&self, request: Request) -> Reply {
        let method = request.method.parse().expect("a method");
        let call = self.client.request(method, format!("{}{}", self.base_url, request.path)).body(request.body);
        let headers = request.headers.into_iter();
        read(headers.fold(call, |call, (name, value)| call.header(name, value))).await
    }
}

/// Sends a request and reads the whole response.
pub(crate) async fn read(request: reqwest::RequestBuilder) -> Reply {
    let reply = request.send().await.expect("the server answers");
    let status = reply.status().as_u16();
    let text = |value: &reqwest::header::HeaderValue| value.to_str().expect("text").to_owned();
    let headers = reply.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    Reply { status, headers, body: reply.text().await.expect("a body") }
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

/// Resources of a process.
#[derive(Clone, Copy, Debug)]
pub struct ResourceUsage {
    /// Resident memory in bytes.
    pub memory: u64,
    /// Peak of the resident memory in bytes.
    pub peak_memory: u64,
    /// Open files.
    pub files: usize,
    /// Threads.
    pub threads: u64,
}

impl ResourceUsage {
    /// Reads the resource usage of a process. `None` if the system does not report it.
    pub fn of(process: u32) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let number = |name: &str| -> Option<u64> {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_ascii_whitespace().nth(1)?.parse().ok()
        };
        let files = std::fs::read_dir(format!("/proc/{process}/fd")).ok()?.count();
        let (memory, peak_memory) = (number("VmRSS:")? << 10, number("VmHWM:")? << 10);
        Some(Self { memory, peak_memory, files, threads: number("Threads:")? })
    }
}
