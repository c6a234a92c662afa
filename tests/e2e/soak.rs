//! An import that everything goes wrong with: the tenant loses answers, limits requests, breaks connections and
//! fails jobs, and the server is killed at random moments. Every good row must be in the tenant exactly once,
//! every bad one must be reported with its line.
//!
//! The short form runs with all tests. The long one:
//!
//! ```text
//! IMPORT_SOAK_USERS=1000000 IMPORT_SOAK_KILLS=20 \
//!     cargo test --release -p end-to-end --test e2e soak -- --nocapture
//! ```

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use end_to_end::{command, free_port};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use simulated_tenant::generate::import_user;
use simulated_tenant::{Control, Fault, FaultKind, Tenant, TenantSettings};
use tempfile::TempDir;

const SECRET: &str = "a secret of more than thirty-two bytes";

/// How long nothing may advance.
const PATIENCE: Duration = Duration::from_mins(5);

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}")))
}

/// Whether the import schema refuses a generated user, told by what the generator spoils.
fn is_bad(user: &Value) -> bool {
    let members = user.as_object().expect("a user");
    let hash = members.get("password_hash").and_then(Value::as_str);
    !members.get("email").is_some_and(Value::is_string)
        || members.values().any(|value| value.is_null() || value == "")
        || members.contains_key("unknown_key")
        || hash.is_some_and(|hash| hash.len() != "$2b$10$".len() + 53)
}

/// Writes the users; the lines of the bad ones.
fn write_users(path: &Path, users: u64, seed: u64) -> BTreeSet<u64> {
    let mut output = BufWriter::new(File::create(path).expect("a file"));
    let mut bad = BTreeSet::new();
    for index in 0..users {
        let text = import_user(index, seed);
        let text = text.trim_end();
        if is_bad(&serde_json::from_str(text).expect("JSON")) {
            bad.insert(index + 1);
        }
        writeln!(output, "{text}").expect("written");
    }
    output.flush().expect("written");
    bad
}

/// The server, which can be killed and started again where it was.
struct Server {
    data: TempDir,
    port: u16,
    settings: Vec<(&'static str, String)>,
    process: Child,
    client: reqwest::Client,
    token: String,
}

impl Server {
    async fn start(tenant: &Tenant) -> Self {
        let port = free_port();
        let base = format!("http://127.0.0.1:{port}");
        let data = TempDir::new().expect("a directory");
        let settings = vec![
            ("PORT", port.to_string()),
            ("AUTH0_DOMAIN", tenant.url()),
            ("AUTH0_RTA", tenant.url()),
            ("AUTH0_CLIENT_ID", tenant.client_id().to_owned()),
            ("AUTH0_CLIENT_SECRET", tenant.client_secret().to_owned()),
            ("EXTENSION_SECRET", SECRET.to_owned()),
            ("LOGIN", "tenant".to_owned()),
            ("ADMIN_SUBJECTS", "auth0|ada".to_owned()),
            ("UPLOAD_LIMIT", "100GiB".to_owned()),
        ];
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_secs();
        let claims = json!({
            "sub": "auth0|ada", "email": "ada@example.com", "iss": base, "aud": "urn:user-import-export-extension",
            "iat": now, "exp": now + 86_400, "jti": "soak",
        });
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).expect("a token");
        let process = Self::spawn(&data, &settings);
        let client = reqwest::Client::new();
        let server = Self { data, port, settings, process, client, token };
        server.until_ready().await;
        server
    }

    fn spawn(data: &TempDir, settings: &[(&'static str, String)]) -> Child {
        let log = File::options().create(true).append(true).open(data.path().join("log")).expect("a log");
        let mut command = command(data.path());
        command.arg("serve").envs(settings.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        command.spawn().expect("the server starts")
    }

    async fn until_ready(&self) {
        let end = Instant::now() + PATIENCE;
        while !self.client.get(self.url("/healthz")).send().await.is_ok_and(|reply| reply.status().is_success()) {
            assert!(Instant::now() < end, "the server does not start: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// SIGKILL, and a new start.
    async fn kill_and_start(&mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("it has ended");
        self.process = Self::spawn(&self.data, &self.settings);
        self.until_ready().await;
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.data.path().join("log")).unwrap_or_default()
    }

    async fn import(&self, connection: &str, users: &Path) -> String {
        let file = tokio::fs::File::open(users).await.expect("the users");
        let form = reqwest::multipart::Form::new()
            .text("connection_id", connection.to_owned())
            .part("users", reqwest::multipart::Part::stream(file).file_name("users.ndjson"));
        let request = self.client.post(self.url("/api/jobs/import")).bearer_auth(&self.token).multipart(form);
        let reply = request.send().await.expect("an answer");
        let status = reply.status();
        let job: Value = reply.json().await.expect("JSON");
        assert!(status.is_success(), "{job}");
        job["id"].as_str().expect("an id").to_owned()
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        let reply = self.client.get(self.url(path)).bearer_auth(&self.token).send().await.expect("an answer");
        assert!(reply.status().is_success(), "{path}: {}", reply.status());
        reply
    }

    async fn job(&self, id: &str) -> Value {
        self.get(&format!("/api/jobs/{id}")).await.json().await.expect("JSON")
    }

    async fn resume(&self, id: &str) {
        let request = self.client.post(self.url(&format!("/api/jobs/{id}/resume"))).bearer_auth(&self.token);
        assert!(request.send().await.expect("an answer").status().is_success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Something that goes wrong once.
fn fault(random: &mut StdRng) -> Fault {
    const POST: &str = "/jobs/users-imports";
    let post = |kind| Fault::new(POST, kind).method("POST").once();
    let get = |kind| Fault::new("/api/v2/jobs/", kind).method("GET").once();
    let kinds = [
        post(FaultKind::DropAfter),
        post(FaultKind::DropBefore),
        post(FaultKind::ServerError),
        post(FaultKind::Unavailable),
        post(FaultKind::ActiveImports),
        post(FaultKind::Truncate { bytes: 20 }),
        post(FaultKind::RateLimit { reset_after: 1, retry_after: true }),
        post(FaultKind::FailJob),
        get(FaultKind::DropAfter),
        get(FaultKind::ServerError),
        get(FaultKind::Truncate { bytes: 30 }),
        get(FaultKind::RateLimit { reset_after: 1, retry_after: false }),
        Fault::new("/users-by-email", FaultKind::Unavailable).once(),
        Fault::new("/api/v2", FaultKind::ExpireTokens).once(),
    ];
    kinds.choose(random).expect("a fault").clone()
}

/// Lets things go wrong, one after the other, as long as it is polled.
async fn go_wrong(control: &Control, mut random: StdRng) {
    loop {
        tokio::time::sleep(Duration::from_millis(random.random_range(50..900))).await;
        if control.faults().len() < 2 {
            control.add(fault(&mut random));
        }
        // A million users are many requests.
        control.forget_requests();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_of_an_import_with_faults_and_a_server_that_is_killed_again_and_again() {
    let users = setting("IMPORT_SOAK_USERS", 4000);
    let kills = setting("IMPORT_SOAK_KILLS", 3);
    let seed = setting("IMPORT_SOAK_SEED", 7);
    let longest = setting("IMPORT_SOAK_LONGEST_LIFE_MILLIS", 2500 + users / 100);
    let mut random = StdRng::seed_from_u64(seed);
    let began = Instant::now();

    let settings = TenantSettings {
        users: 0,
        import_duration: Duration::from_millis(150),
        strict: false,
        ..TenantSettings::default()
    };
    let tenant = Tenant::start(settings).await.expect("a tenant");
    let control = tenant.control();
    let before = control.user_count();
    let files = TempDir::new().expect("a directory");
    let path = files.path().join("users.ndjson");
    let bad = write_users(&path, users, seed);

    let mut server = Server::start(&tenant).await;
    let connection = tenant.database_connection_id();
    let id = server.import(&connection, &path).await;
    let (mut killed, mut resumed) = (0, 0);
    let mut seen = (0, Instant::now());
    let faults = go_wrong(&control, StdRng::seed_from_u64(seed + 1));
    tokio::pin!(faults);
    let job = loop {
        let life = Duration::from_millis(random.random_range(100..longest));
        let pause = if killed < kills { life } else { Duration::from_millis(500) };
        tokio::select! {
            () = &mut faults => {}
            () = tokio::time::sleep(pause) => {}
        }
        let job = server.job(&id).await;
        match job["status"].as_str() {
            Some("completed") => break job,
            // Too many answers were lost in a row: a person goes on with it.
            Some("failed") => {
                resumed += 1;
                assert!(resumed < 50, "{job}");
                server.resume(&id).await;
            }
            _ if killed < kills => {
                server.kill_and_start().await;
                killed += 1;
            }
            _ => {}
        }
        let processed = job["processed"].as_u64().unwrap_or_default();
        if processed != seen.0 {
            seen = (processed, Instant::now());
        }
        assert!(seen.1.elapsed() < PATIENCE, "nothing advances: {job}\n{}", server.log());
    };
    control.clear();

    // Every good row exactly once …
    let summary = &job["summary"];
    let good = users - bad.len() as u64;
    let counts = ["total", "inserted", "updated", "failed"].map(|name| summary[name].as_u64().expect("a count"));
    assert_eq!(counts, [users, good, 0, bad.len() as u64], "{summary}");
    assert_eq!(control.user_count() - before, good);
    for (number, line) in (1..).zip(BufReader::new(File::open(&path).expect("the users")).lines()) {
        let user: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
        let Some(email) = user["email"].as_str() else { continue };
        let times = control.users_by_email(&email.to_lowercase()).len();
        assert_eq!(times, usize::from(!bad.contains(&number)), "line {number}");
    }
    // … and every bad one reported with its line.
    let report: Vec<Value> =
        server.get(&format!("/api/jobs/{id}/report")).await.json().await.expect("a list of failed rows");
    let reported: Vec<u64> = report.iter().map(|row| row["line"].as_u64().expect("a line")).collect();
    assert_eq!(reported, bad.iter().copied().collect::<Vec<_>>());
    assert!(report.iter().all(|row| row["errors"].as_array().is_some_and(|errors| !errors.is_empty())));

    let jobs = control.job_counts();
    println!(
        "{users} users, {} bad: killed {killed} times, resumed {resumed} times, {} import jobs, most at once {}, {:.0} s",
        bad.len(),
        jobs.imports,
        jobs.most_active_imports,
        began.elapsed().as_secs_f64()
    );
    assert!(jobs.most_active_imports <= 2);
    assert_eq!(jobs.completion_emails, 0);
}
