//! The server behind nginx with the configuration of the README, and the separate metrics listener.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use end_to_end::{TestKit, TestServer, free_port, poll};
use reqwest::multipart::{Form, Part};
use serde_json::json;
use simulated_tenant::TenantSettings;
use tempfile::TempDir;

const TOKEN: &str = "9d1f6c2e8b7a4d5f-metrics";

async fn server(settings: &[(&str, &str)]) -> TestServer {
    TestServer::start_signed_out(TenantSettings { users: 20, ..TenantSettings::default() }, |command| {
        command.envs(settings.iter().copied());
    })
    .await
}

async fn status(url: &str) -> u16 {
    reqwest::get(url).await.unwrap_or_else(|error| panic!("{url}: {error}")).status().as_u16()
}

#[tokio::test]
async fn metrics_are_served_on_a_separate_listener() {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let server = server(&[("METRICS_ADDRESS", &address), ("PUBLIC_WT_URL", "https://tools.example/user-export")]).await;
    let reply = reqwest::get(format!("http://{address}/metrics")).await.expect("an answer");
    assert_eq!(reply.status(), 200);
    assert!(reply.text().await.expect("a body").contains("user_import_export_running_jobs 0"));
    for path in ["/healthz", "/", "/api/history", "/login"] {
        assert_eq!(status(&format!("http://{address}{path}")).await, 404, "{path}");
    }
    for path in ["/metrics", "/user-export/metrics"] {
        assert_eq!(status(&format!("{}{path}", server.program.address())).await, 404, "{path}");
    }
    // DNS rebinding: a page of another site whose name resolves to this machine.
    let rebound = reqwest::Client::new().get(format!("http://{address}/metrics")).header("host", "rebound.example");
    assert_eq!(rebound.send().await.expect("an answer").status(), 401);
}

#[tokio::test]
async fn the_metrics_listener_requires_the_token_if_one_is_set() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/metrics");
    let _server = server(&[("METRICS_ADDRESS", &format!("0.0.0.0:{port}")), ("METRICS_TOKEN", TOKEN)]).await;
    assert_eq!(status(&url).await, 401);
    let reply = reqwest::Client::new().get(&url).bearer_auth(TOKEN).send().await.expect("an answer");
    assert_eq!(reply.status(), 200);
}

/// A running nginx, killed when dropped.
struct Nginx {
    process: Child,
    directory: TempDir,
}

impl Nginx {
    /// Starts nginx with these lines in a `server` block that listens on `port`. `None`, with a note on standard error,
    /// if nginx is not installed.
    ///
    /// # Panics
    /// If nginx is not installed and `E2E_NGINX=required` is set.
    async fn start(port: u16, lines: &str) -> Option<Self> {
        let directory = TempDir::new().expect("a temporary directory");
        let at = directory.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("    {name}_temp_path {at}/{name};\n"))
            .concat();
        let configuration = format!(
            "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log {at}/log warn;\nevents {{}}\nhttp {{\n    \
             access_log off;\n{temporary}    server {{\n        listen 127.0.0.1:{port};\n{lines}\n    }}\n}}\n"
        );
        let path = directory.path().join("nginx.conf");
        std::fs::write(&path, configuration).expect("a file");
        // On Debian, nginx is in a directory that is only in the PATH of root.
        let program = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"]
            .into_iter()
            .find(|path| std::fs::exists(path).is_ok_and(|found| found));
        let mut command = Command::new(program.unwrap_or("nginx"));
        command.arg("-p").arg(directory.path()).arg("-c").arg(&path).arg("-e").arg(directory.path().join("log"));
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let Ok(process) = spawned else {
            let required = std::env::var("E2E_NGINX").is_ok_and(|value| value == "required");
            assert!(!required, "E2E_NGINX=required, but nginx is not installed");
            // Written directly to standard error: the test runner captures `eprintln!` of passing tests.
            let message = "\n*** SKIPPED: a test of the proxy needs nginx (Debian: apt install nginx-light).\n";
            let _ = std::io::stderr().write_all(message.as_bytes());
            return None;
        };
        let mut nginx = Self { process, directory };
        poll(async || {
            if let Some(status) = nginx.process.try_wait().expect("the state of a child") {
                panic!("nginx ended with {status}: {}", nginx.log());
            }
            reqwest::get(format!("http://127.0.0.1:{port}/")).await
        })
        .await;
        Some(nginx)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Both fail only if the process has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("--- log of nginx\n{}---", self.log());
        }
    }
}

/// Returns the nginx configuration of the README.
fn readme_nginx_lines() -> String {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).expect("the README");
    let (_, section) = readme.split_once("## Behind a reverse proxy").expect("the section");
    let code = section
        .lines()
        .skip_while(|line| !line.starts_with("    "))
        .take_while(|line| line.is_empty() || line.starts_with("    "));
    code.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_nginx_configuration_of_the_readme_serves_pages_and_blocks_metrics() {
    let (proxy, port) = (free_port(), free_port());
    let lines = readme_nginx_lines();
    let upstream = "http://127.0.0.1:3000;";
    assert_eq!(lines.matches(upstream).count(), 1, "{lines}");
    let Some(_nginx) = Nginx::start(proxy, &lines.replace(upstream, &format!("http://127.0.0.1:{port};"))).await else {
        return;
    };
    let public = format!("http://127.0.0.1:{proxy}/user-export");
    // With a metrics token, so that a request with that token can only be refused by nginx.
    let kit = TestKit::new(TenantSettings { users: 20, ..TenantSettings::default() }).setting("METRICS_TOKEN", TOKEN);
    let server = kit.public_url(&public).port(port).process().await;

    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let login = client.get(format!("{public}/login")).send().await.expect("an answer");
    let location = login.headers()["location"].to_str().expect("text").to_owned();
    assert_eq!(login.status(), 302);
    assert!(location.starts_with(&server.tenant.url()), "{location}");
    let page = client.get(format!("{public}/history")).send().await.expect("an answer");
    assert_eq!(
        (page.status().as_u16(), &page.headers()["strict-transport-security"]),
        (200, &"max-age=31536000".parse().unwrap())
    );
    let text = page.text().await.expect("a page");
    let script = text.split('"').find(|text| text.ends_with("js/history.js")).expect("the script of the page");
    assert!(script.starts_with("/user-export/assets/"), "{script}");
    assert_eq!(status(&format!("http://127.0.0.1:{proxy}{script}")).await, 200);

    let send = |request: reqwest::RequestBuilder| request.bearer_auth(&server.session).send();
    let history = send(client.get(format!("{public}/api/history"))).await.expect("an answer");
    assert_eq!(history.status(), 200);

    // Larger than nginx's default body limit and its in-memory buffer.
    let row = format!("{{\"email\":\"a@example.com\",\"user_metadata\":{{\"text\":\"{}\"}}}}\n", "x".repeat(1000));
    let users = Part::bytes(row.repeat(20_000).into_bytes()).file_name("users.ndjson");
    let form = Form::new().text("dry_run", "true").part("users", users);
    let import = send(client.post(format!("{public}/api/jobs/import")).multipart(form)).await.expect("an answer");
    assert_eq!(import.status(), 200, "{:?}", import.text().await);

    let export = send(client.post(format!("{public}/api/jobs/export")).json(&json!({"format": "ndjson"}))).await;
    let export: serde_json::Value = export.expect("an answer").json().await.expect("a job");
    let job = server.wait_until_finished(export["id"].as_str().expect("an id")).await;
    let link = job["location"].as_str().expect("a link");
    assert!(link.starts_with(&public), "{link}");
    let file = reqwest::get(link).await.expect("an answer").text().await.expect("a file");
    assert!(file.lines().count() >= 20, "{file}");

    for path in ["/metrics", "/metrics?x=1", "//metrics", "/%6detrics", "/./metrics"] {
        for token in ["", TOKEN] {
            let reply = client.get(format!("{public}{path}")).bearer_auth(token).send().await.expect("an answer");
            assert_eq!(reply.status(), 404, "{path}");
        }
    }
    let direct = client.get(format!("http://127.0.0.1:{port}/metrics"));
    assert_eq!(direct.bearer_auth(TOKEN).send().await.expect("an answer").status(), 200);
}
