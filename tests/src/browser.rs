//! A real browser: Debian's chromium, driven through chromedriver.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
pub use fantoccini::elements::Element;
use fantoccini::wd::TimeoutConfiguration;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// How long a page may take to show something: jobs included, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
const CHROMIUM: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// The Tab key.
pub const TAB: &str = "\u{e004}";
/// The Enter key.
pub const ENTER: &str = "\u{e007}";
/// The Escape key.
pub const ESCAPE: &str = "\u{e00c}";
/// The key of the arrow that points down.
pub const DOWN: &str = "\u{e015}";
/// The space bar.
pub const SPACE: &str = " ";

/// How the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// As it is.
    Usual,
    /// Every answer comes 1.5 seconds late.
    Slow,
    /// There is none.
    Cut,
}

/// A browser with an empty profile and a directory of its own for downloads; closes when dropped.
#[derive(Debug)]
pub struct Browser {
    /// The client of chromedriver.
    pub client: Client,
    driver: Child,
    port: u16,
    session: String,
    files: TempDir,
}

/// A browser; none where chromium is not installed, which is said aloud. With `E2E_BROWSER=required`
/// that fails instead.
pub async fn browser() -> Option<Browser> {
    let chromium = CHROMIUM.iter().find_map(|name| find_program(name));
    let driver = find_program("chromedriver");
    if let (Some(chromium), Some(driver)) = (&chromium, &driver) {
        return Some(Browser::start(chromium, driver).await);
    }
    let required = std::env::var("E2E_BROWSER").is_ok_and(|value| value == "required");
    assert!(!required, "E2E_BROWSER=required, but chromium and chromedriver are not installed");
    // Written directly: the test runner swallows what a passing test prints.
    let message = "\n*** SKIPPED: a browser test needs chromium and chromedriver (Debian: apt install chromium chromium-driver).\n";
    let _ = std::io::stderr().write_all(message.as_bytes());
    None
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}

impl Browser {
    async fn start(chromium: &Path, driver: &Path) -> Self {
        let files = TempDir::new().expect("a temporary directory");
        let downloads = files.path().join("downloads");
        std::fs::create_dir(&downloads).expect("a directory for downloads");
        let mut driver = Command::new(driver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let port = announced_port(&mut driver);
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,900",
            "--lang=en-US",
        ];
        let profile = format!("--user-data-dir={}", files.path().join("profile").display());
        let options = json!({
            "binary": chromium,
            "args": arguments.iter().copied().chain([profile.as_str()]).collect::<Vec<_>>(),
            "prefs": {
                "download.default_directory": downloads,
                "download.prompt_for_download": false,
                "profile.default_content_setting_values.automatic_downloads": 1,
            },
        });
        let capabilities = Map::from_iter([("goog:chromeOptions".to_owned(), options)]);
        let client = ClientBuilder::rustls()
            .expect("a WebDriver client")
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("a browser session");
        // On a busy machine the rules of accessibility take their time.
        let patient = TimeoutConfiguration::new(Some(Duration::from_mins(3)), Some(Duration::from_mins(5)), None);
        client.update_timeouts(patient).await.expect("the browser is patient");
        let session = client.session_id().await.expect("the session's id").expect("the session's id");
        Self { client, driver, port, session, files }
    }

    /// Opens an address.
    pub async fn open(&self, address: &str) {
        self.client.goto(address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
    }

    /// The first element that matches, once there is one that is displayed.
    pub async fn element(&self, css: &str) -> Element {
        self.find(Locator::Css(css), css).await
    }

    /// The first displayed button or link with exactly this text.
    pub async fn named(&self, text: &str) -> Element {
        let path = format!("//*[self::button or self::a or self::summary][normalize-space(.) = {}]", literal(text));
        self.find(Locator::XPath(&path), text).await
    }

    async fn find(&self, locator: Locator<'_>, description: &str) -> Element {
        let end = Instant::now() + PATIENCE;
        loop {
            for element in self.client.find_all(locator).await.unwrap_or_default() {
                // It may have been replaced meanwhile: then it is looked for again.
                if element.is_displayed().await.unwrap_or(false) {
                    return element;
                }
            }
            let in_time = Instant::now() < end;
            assert!(in_time, "{description:?} does not appear; the page says:\n{}", self.text("body").await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Clicks the button or link with this text.
    pub async fn click(&self, text: &str) {
        let element = self.named(text).await;
        self.click_on(&element, text).await;
    }

    /// Clicks the first displayed element that matches.
    pub async fn click_at(&self, css: &str) {
        let element = self.element(css).await;
        self.click_on(&element, css).await;
    }

    async fn click_on(&self, element: &Element, description: &str) {
        // Into the middle of the view, as people do: bars stick to its edges.
        let element_json = serde_json::to_value(element).expect("an element can be referred to");
        let script = "arguments[0].scrollIntoView({ block: 'center', behavior: 'instant' })";
        let scrolled = self.client.execute(script, vec![element_json]).await;
        scrolled.unwrap_or_else(|error| panic!("{description:?} cannot be scrolled to: {error}"));
        element.click().await.unwrap_or_else(|error| panic!("{description:?} cannot be clicked: {error}"));
    }

    /// Presses keys one after another, as whoever has the focus gets them: a field for files, too, to which
    /// keys cannot be sent as to other elements.
    pub async fn press(&self, keys: &str) {
        let pressed = keys.chars().fold(KeyActions::new("keyboard".to_owned()), |actions, value| {
            actions.then(KeyAction::Down { value }).then(KeyAction::Up { value })
        });
        let pressed = self.client.perform_actions(pressed).await;
        pressed.unwrap_or_else(|error| panic!("{keys:?} cannot be pressed: {error}"));
    }

    /// Goes to an element by the Tab key alone; fails where the key does not lead there.
    pub async fn tab_to(&self, css: &str) {
        let here = format!("return document.activeElement?.matches({}) ?? false", json!(css));
        for _ in 0..300 {
            if self.run(&here).await == true {
                return;
            }
            self.press(TAB).await;
        }
        panic!("the Tab key does not lead to {css}");
    }

    /// Waits until a script's value is this one.
    pub async fn wait_for(&self, script: &str, wanted: &Value) {
        let end = Instant::now() + PATIENCE;
        loop {
            let value = self.run(script).await;
            if value == *wanted {
                return;
            }
            assert!(Instant::now() < end, "{script} gives {value}, not {wanted}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Cuts or restores the network, or makes every answer late.
    pub async fn network(&self, network: Network) {
        self.devtools("Network.enable", &json!({})).await;
        let (offline, latency) = match network {
            Network::Usual => (false, 0),
            Network::Slow => (false, 1500),
            Network::Cut => (true, 0),
        };
        let conditions =
            json!({ "offline": offline, "latency": latency, "downloadThroughput": -1, "uploadThroughput": -1 });
        self.devtools("Network.emulateNetworkConditions", &conditions).await;
    }

    /// Forgets what was cached, so that the next page is as new as the first.
    pub async fn forget_cache(&self) {
        self.devtools("Network.clearBrowserCache", &json!({})).await;
    }

    /// Waits until the text of an element contains the given one, and returns all of it.
    pub async fn wait_for_text(&self, css: &str, wanted: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let text = self.text(css).await;
            if text.contains(wanted) {
                return text;
            }
            assert!(Instant::now() < end, "{css} does not say {wanted:?} but {text:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the browser is at an address that starts like this.
    pub async fn wait_for_address(&self, start: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let address = self.client.current_url().await.map(String::from).unwrap_or_default();
            if address.starts_with(start) {
                return;
            }
            assert!(Instant::now() < end, "the browser is at {address}, not at {start}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The text an element shows; empty where there is no such element.
    pub async fn text(&self, css: &str) -> String {
        match self.client.find(Locator::Css(css)).await {
            Ok(element) => element.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Runs a script in the page; `return` gives its value.
    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Runs a script in every page opened from now on, before the page's own.
    pub async fn run_first(&self, script: &str) {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": script })).await;
    }

    /// Makes the view this wide and high; narrower than a window can be.
    pub async fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &size).await;
    }

    /// A command of Chromium's own protocol.
    async fn devtools(&self, command: &str, parameters: &Value) {
        let address = format!("http://127.0.0.1:{}/session/{}/goog/cdp/execute", self.port, self.session);
        let body = json!({ "cmd": command, "params": parameters });
        let reply = reqwest::Client::new().post(address).json(&body).send().await.expect("chromedriver answers");
        let status = reply.status();
        assert!(status.is_success(), "{command}: {status}: {}", reply.text().await.unwrap_or_default());
    }

    /// Types into a field in place of what it held, as a person does: a field that WebDriver clears sends no `input`
    /// event, so that a page may put its value back before the first key.
    pub async fn type_into(&self, css: &str, text: &str) {
        const CONTROL: char = '\u{e009}';
        const RELEASE: char = '\u{e000}';
        const BACKSPACE: &str = "\u{e003}";
        let field = self.element(css).await;
        let keys = if text.is_empty() { BACKSPACE } else { text };
        field.send_keys(&format!("{CONTROL}a{RELEASE}{keys}")).await.expect("the field takes text");
    }

    /// Writes a file and chooses it in a file dialog.
    pub async fn choose_file(&self, css: &str, name: &str, content: &[u8]) {
        let path = self.files.path().join(name);
        std::fs::write(&path, content).expect("a file to upload");
        let field = self.client.find(Locator::Css(css)).await.expect("a file field");
        field.send_keys(&path.to_string_lossy()).await.expect("the file can be chosen");
    }

    /// Waits for the next finished download, takes it out of the directory, and returns name and content.
    pub async fn downloaded(&self) -> (String, Vec<u8>) {
        let directory = self.files.path().join("downloads");
        let end = Instant::now() + PATIENCE;
        loop {
            let entries = std::fs::read_dir(&directory).expect("the directory of downloads");
            let names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
            // While a download runs, the browser keeps a file with one of these names beside it.
            let busy = |name: &String| {
                name.ends_with(".crdownload") || name.starts_with(".org.chromium") || name.starts_with(".com.google")
            };
            if let [name] = names.as_slice()
                && !busy(name)
            {
                let path = directory.join(name);
                let content = std::fs::read(&path).expect("the download");
                std::fs::remove_file(&path).expect("the download can be removed");
                return (name.clone(), content);
            }
            assert!(Instant::now() < end, "nothing was downloaded: {names:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Saves what the window shows as a PNG.
    pub async fn picture(&self, path: &Path) {
        let png = self.client.screenshot().await.expect("a screenshot");
        std::fs::write(path, png).expect("a file for the screenshot");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ending the session ends chromium, which killing its driver would leave behind.
        if let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
            let request =
                format!("DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", self.session);
            let _ = stream.write_all(request.as_bytes());
            let _ = stream.read(&mut [0; 512]);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The port chromedriver says it listens on.
fn announced_port(driver: &mut Child) -> u16 {
    let output = driver.stdout.take().expect("the output of chromedriver");
    let mut lines = BufReader::new(output).lines();
    let port = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.strip_suffix('.')?.rsplit_once("on port ")?.1.parse().ok())
        .expect("chromedriver names its port");
    // Read on, so that it never waits for its output to be taken.
    std::thread::spawn(move || lines.for_each(drop));
    port
}

/// A literal of the path language of any text.
fn literal(text: &str) -> String {
    let parts: Vec<String> = text.split('\'').map(|part| format!("'{part}'")).collect();
    if parts.len() == 1 { parts.concat() } else { format!("concat({})", parts.join(", \"'\", ")) }
}
