//! The pages inside a frame of another site, as in the Auth0 dashboard.

use end_to_end::{Installation, has_extension};
use simulated_tenant::people::ADMIN_EMAIL;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::actions::{exclusive_browser, sign_in_at_tenant};

/// A site whose pages contain one frame.
struct Site {
    listener: TcpListener,
}

impl Site {
    async fn bind() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    /// Returns its origin. The host is `localhost`, so that it is cross-site to the server at 127.0.0.1.
    fn origin(&self) -> String {
        format!("http://localhost:{}", self.listener.local_addr().unwrap().port())
    }

    fn serve(self, framed: &str) {
        let page =
            format!("<!doctype html><title>Host page</title><iframe src=\"{framed}\" width=1000 height=700></iframe>");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = self.listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let reply = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
                    page.len()
                );
                let _ = stream.write_all(reply.as_bytes()).await;
            }
        });
    }
}

#[tokio::test]
async fn a_framed_page_signs_in_through_a_popup() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let site = Site::bind().await;
    let origin = site.origin();
    let demo = Installation::serve(10, &[("FRAME_ANCESTORS", &origin)]).await;
    site.serve(&demo.url("/history?embed=1"));

    browser.open(&origin).await;
    let host_page = browser.client.window().await.unwrap();
    browser.element("iframe").await.enter_frame().await.unwrap();
    browser.click("Sign in").await;
    let popup = loop {
        let windows = browser.client.windows().await.unwrap();
        if let Some(popup) = windows.into_iter().find(|window| *window != host_page) {
            break popup;
        }
    };
    browser.client.switch_to_window(popup).await.unwrap();
    sign_in_at_tenant(&browser, &demo).await;

    browser.client.switch_to_window(host_page).await.unwrap();
    browser.element("iframe").await.enter_frame().await.unwrap();
    browser.wait_for_text("#history", "No jobs yet.").await;
    let token = browser.run("return sessionStorage.getItem('user-import-export-extension:apiToken')").await;
    let claims = browser
        .run("return JSON.parse(atob(sessionStorage.getItem('user-import-export-extension:apiToken').split('.')[1].replaceAll('-', '+').replaceAll('_', '/'))).email")
        .await;
    assert!(token.is_string());
    assert_eq!(claims, ADMIN_EMAIL);

    // The pages work in the frame, and links keep `?embed=1`.
    browser.click("Export").await;
    browser.wait_for_text("#preview-plan", "Reads").await;
    assert_eq!(browser.run("return location.search").await, "?embed=1");
    assert_eq!(browser.run("return document.querySelectorAll('.top').length").await, 0);
    browser.click_at("#start:enabled").await;
    browser.wait_for_text("#results", "exported").await;
    browser.click("Download").await;
    let (name, users) = browser.next_download().await;
    assert!(has_extension(&name, "json") && users.starts_with(b"["), "{name}");
}

#[tokio::test]
async fn an_unlisted_site_cannot_frame_the_pages() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let site = Site::bind().await;
    let origin = site.origin();
    let demo = Installation::serve(10, &[("FRAME_ANCESTORS", "https://manage.auth0.com")]).await;
    site.serve(&demo.url("/import?embed=1"));
    browser.open(&origin).await;
    browser.element("iframe").await.enter_frame().await.unwrap();
    let address = browser.run("return location.href").await;
    assert!(address.as_str().is_some_and(|address| address.starts_with("chrome-error:")), "{address}");
}
