//! Who may come in (docs/auth0/extension.md, docs/auth0/login.md): each row of their tables is a test.

mod attacks;
mod contract;
mod every_route;
mod extension;
mod hooks;
mod sessions;
mod tenant_login;
