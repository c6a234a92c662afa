//! Tests of access control: each row of the tables in docs/auth0/extension.md and docs/auth0/login.md is a test.

mod every_route;
mod extension_login;
mod extension_routes;
mod hooks;
mod login_attacks;
mod sessions;
mod tenant_login;
