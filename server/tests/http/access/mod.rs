//! Who may come in (contract, sections 1 and 2): each row of the contract's tables is a test.

mod attacks;
mod contract;
mod every_route;
mod extension;
mod hooks;
mod sessions;
mod tenant_login;
