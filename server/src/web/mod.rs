//! The HTTP server: routes, middleware, pages and error responses. No other module uses actix-web and Tera.

pub mod api;
mod app;
mod application;
mod auth0_extension;
mod authorization;
mod base_path;
mod body_gate;
mod body_limits;
mod docs_pages;
mod error_response;
mod fetch_metadata;
mod language;
mod localized;
mod metrics;
mod metrics_route;
mod page_cache;
mod pages;
mod request_log;
mod resource;
mod route_limits;
mod security_headers;
mod slow_requests;
mod templates;

pub use app::App;
pub use application::{Routes, application};
pub use authorization::{AnySession, Authorized, ReadConnections, ReadUsers, ReadUsersAndConnections, Requirement};
pub use body_gate::BodyBudget;
pub use error_response::ApiError;
pub use metrics::Metrics;
pub use page_cache::PageCache;
