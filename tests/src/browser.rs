//! A real browser: Debian's chromium, driven through chromedriver.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
pub use fantoccini::elements::Element;
use fantoccini::wd::TimeoutConfiguration;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use test_kit::poll_for;

/// The timeout of one wait for a page, a whole job included, on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(90);
const CHROMIUM: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// The Tab key.
pub const TAB: &str = "\u{e004}";
/// The Enter key.
pub const ENTER: &str = "\u{e007}";
/// The Escape key.
pub const ESCAPE: &str = "\u{e00c}";
/// The Down arrow key.
pub const DOWN: &str = "\u{e015}";
/// The space bar.
pub const SPACE: &str = " ";

/// Network conditions of the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Without emulation.
    Normal,
    /// Every response is delayed by 1.5 seconds.
    Slow,
    /// No network.
    Offline,
}

/// A browser with an empty profile and a separate download directory, closed when dropped.
#[derive(Debug)]
pub struct Browser {
    /// The WebDriver client.
    pub client: Client,
    driver: Child,
    port: u16,
    session: String,
    files: TempDir,
}

/// Starts a browser. `None`, with a note on standard error, if chromium or chromedriver is not installed.
///
/// # Panics
/// If they are not installed and `E2E_BROWSER=required` is set.
pub async fn browser() -> Option<Browser> {
    let chromium = CHROMIUM.iter().find_map(|name| find_program(name));
    let driver = find_program("chromedriver");
    if let (Some(chromium), Some(driver)) = (&chromium, &driver) {
        return Some(Browser::start(chromium, driver).await);
    }
    let required = std::env::var("E2E_BROWSER").is_ok_and(|value| value == "required");
    assert!(!required, "E2E_BROWSER=required, but chromium and chromedriver are not installed");
    // Written directly to standard error: the test runner captures `eprintln!` of passing tests.
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
        let port = driver_port(&mut driver);
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
        // The accessibility rules are slow on a busy machine.
        let timeouts = TimeoutConfiguration::new(Some(Duration::from_mins(3)), Some(Duration::from_mins(5)), None);
        client.update_timeouts(timeouts).await.expect("the timeouts are set");
        let session = client.session_id().await.expect("the session's id").expect("the session's id");
        Self { client, driver, port, session, files }
    }

    /// Opens an address.
    pub async fn open(&self, address: &str) {
        self.client.goto(address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
    }

    /// Waits for a displayed element that matches and returns the first.
    pub async fn element(&self, css: &str) -> Element {
        self.find(Locator::Css(css), css).await
    }

    /// Waits for a displayed button, link or summary with exactly this text and returns the first.
    pub async fn button(&self, text: &str) -> Element {
        let path =
            format!("//*[self::button or self::a or self::summary][normalize-space(.) = {}]", xpath_literal(text));
        self.find(Locator::XPath(&path), text).await
    }

    async fn find(&self, locator: Locator<'_>, description: &str) -> Element {
        poll_for(TIMEOUT, async || {
            for element in self.client.find_all(locator).await.unwrap_or_default() {
                // If the page has replaced it meanwhile, search again.
                if element.is_displayed().await.unwrap_or(false) {
                    return Ok(element);
                }
            }
            Err(format!("{description:?} does not appear; the page shows:\n{}", self.text("body").await))
        })
        .await
    }

    /// Clicks the button or link with this text.
    pub async fn click(&self, text: &str) {
        let element = self.button(text).await;
        self.click_on(&element, text).await;
    }

    /// Clicks the first displayed element that matches.
    pub async fn click_at(&self, css: &str) {
        let element = self.element(css).await;
        self.click_on(&element, css).await;
    }

    async fn click_on(&self, element: &Element, description: &str) {
        // To the center of the view, because sticky bars cover its edges.
        let element_json = serde_json::to_value(element).expect("an element can be referred to");
        let script = "arguments[0].scrollIntoView({ block: 'center', behavior: 'instant' })";
        let scrolled = self.client.execute(script, vec![element_json]).await;
        scrolled.unwrap_or_else(|error| panic!("{description:?} cannot be scrolled to: {error}"));
        element.click().await.unwrap_or_else(|error| panic!("{description:?} cannot be clicked: {error}"));
    }

    /// Presses keys one after another at the element that has the focus. Also works for a file field, which takes
    /// `send_keys` as a path.
    pub async fn press(&self, keys: &str) {
        let pressed = keys.chars().fold(KeyActions::new("keyboard".to_owned()), |actions, value| {
            actions.then(KeyAction::Down { value }).then(KeyAction::Up { value })
        });
        let pressed = self.client.perform_actions(pressed).await;
        pressed.unwrap_or_else(|error| panic!("{keys:?} cannot be pressed: {error}"));
    }

    /// Moves the focus to an element with the Tab key.
    ///
    /// # Panics
    /// If the Tab key does not reach it.
    pub async fn tab_to(&self, css: &str) {
        let has_focus = format!("return document.activeElement?.matches({}) ?? false", json!(css));
        for _ in 0..300 {
            if self.run(&has_focus).await == true {
                return;
            }
            self.press(TAB).await;
        }
        panic!("the Tab key does not reach {css}");
    }

    /// Waits until a script returns this value.
    pub async fn wait_for(&self, script: &str, expected: &Value) {
        poll_for(TIMEOUT, async || {
            let value = self.run(script).await;
            if value == *expected { Ok(()) } else { Err(format!("{script} returns {value}, not {expected}")) }
        })
        .await;
    }

    /// Emulates network conditions.
    pub async fn set_network(&self, network: Network) {
        self.devtools("Network.enable", &json!({})).await;
        let (offline, latency) = match network {
            Network::Normal => (false, 0),
            Network::Slow => (false, 1500),
            Network::Offline => (true, 0),
        };
        let conditions =
            json!({ "offline": offline, "latency": latency, "downloadThroughput": -1, "uploadThroughput": -1 });
        self.devtools("Network.emulateNetworkConditions", &conditions).await;
    }

    /// Clears the HTTP cache.
    pub async fn clear_cache(&self) {
        self.devtools("Network.clearBrowserCache", &json!({})).await;
    }

    /// Waits until the text of an element contains `expected`, and returns the whole text.
    pub async fn wait_for_text(&self, css: &str, expected: &str) -> String {
        poll_for(TIMEOUT, async || {
            let text = self.text(css).await;
            if text.contains(expected) {
                Ok(text)
            } else {
                Err(format!("{css} does not show {expected:?} but {text:?}"))
            }
        })
        .await
    }

    /// Waits until the address of the page starts with `start`.
    pub async fn wait_for_address(&self, start: &str) {
        poll_for(TIMEOUT, async || {
            let address = self.client.current_url().await.map(String::from).unwrap_or_default();
            let arrived = address.starts_with(start);
            if arrived { Ok(()) } else { Err(format!("the browser is at {address}, not at {start}")) }
        })
        .await;
    }

    /// Returns the visible text of an element, or an empty string if there is no such element.
    pub async fn text(&self, css: &str) -> String {
        match self.client.find(Locator::Css(css)).await {
            Ok(element) => element.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Runs a script in the page and returns the value of its `return`.
    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Runs a script in every page that is opened afterwards, before the page's own scripts.
    pub async fn run_on_new_pages(&self, script: &str) {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": script })).await;
    }

    /// Sets the size of the view in CSS pixels. It may be narrower than the minimum width of a window.
    pub async fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &size).await;
    }

    /// Sends a command of the Chrome `DevTools` Protocol.
    async fn devtools(&self, command: &str, parameters: &Value) {
        let address = format!("http://127.0.0.1:{}/session/{}/goog/cdp/execute", self.port, self.session);
        let body = json!({ "cmd": command, "params": parameters });
        let reply = reqwest::Client::new().post(address).json(&body).send().await.expect("chromedriver answers");
        let status = reply.status();
        assert!(status.is_success(), "{command}: {status}: {}", reply.text().await.unwrap_or_default());
    }

    /// Selects the content of a field and types over it. WebDriver's own clearing sends no `input` event, so a page
    /// could restore the old value before the first key.
    pub async fn type_into(&self, css: &str, text: &str) {
        const CONTROL: char = '\u{e009}';
        const RELEASE: char = '\u{e000}';
        const BACKSPACE: &str = "\u{e003}";
        let field = self.element(css).await;
        let keys = if text.is_empty() { BACKSPACE } else { text };
        field.send_keys(&format!("{CONTROL}a{RELEASE}{keys}")).await.expect("the field takes text");
    }

    /// Writes a file and selects it in a file field.
    pub async fn choose_file(&self, css: &str, name: &str, content: &[u8]) {
        let path = self.files.path().join(name);
        std::fs::write(&path, content).expect("a file to upload");
        let field = self.client.find(Locator::Css(css)).await.expect("a file field");
        field.send_keys(&path.to_string_lossy()).await.expect("the file can be chosen");
    }

    /// Waits for a finished download, removes it from the directory, and returns its name and content.
    pub async fn next_download(&self) -> (String, Vec<u8>) {
        let directory = self.files.path().join("downloads");
        poll_for(TIMEOUT, async || {
            let entries = std::fs::read_dir(&directory).expect("the directory of downloads");
            let names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
            // During a download the browser keeps a temporary file with one of these names.
            let is_temporary = |name: &String| {
                name.ends_with(".crdownload") || name.starts_with(".org.chromium") || name.starts_with(".com.google")
            };
            if let [name] = names.as_slice()
                && !is_temporary(name)
            {
                let path = directory.join(name);
                let content = std::fs::read(&path).expect("the download");
                std::fs::remove_file(&path).expect("the download can be removed");
                return Ok((name.clone(), content));
            }
            Err(format!("nothing was downloaded: {names:?}"))
        })
        .await
    }

    /// Saves the visible part of the page as a PNG file.
    pub async fn save_screenshot(&self, path: &Path) {
        let png = self.client.screenshot().await.expect("a screenshot");
        std::fs::write(path, png).expect("a file for the screenshot");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ending the session ends chromium; killing only its driver would leave it running.
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

/// Reads the port of chromedriver from its output.
fn driver_port(driver: &mut Child) -> u16 {
    let output = driver.stdout.take().expect("the output of chromedriver");
    let mut lines = BufReader::new(output).lines();
    let port = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.strip_suffix('.')?.rsplit_once("on port ")?.1.parse().ok())
        .expect("chromedriver prints its port");
    // Keep reading, so that chromedriver never blocks on a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    port
}

/// Returns an XPath string literal for any text.
fn xpath_literal(text: &str) -> String {
    let parts: Vec<String> = text.split('\'').map(|part| format!("'{part}'")).collect();
    if parts.len() == 1 { parts.concat() } else { format!("concat({})", parts.join(", \"'\", ")) }
}
