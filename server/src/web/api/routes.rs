//! The list of all operations of the API.

use std::sync::LazyLock;

use super::registration::{Routes, routes};
use super::{about, attributes, connections, health, history, jobs, presets, preview, sessions, transforms, users};
use crate::web::metrics_route;
use crate::web::route_limits::{BodyLimit, JSON_LIMIT};
use uie_sandbox::LARGEST_FILE;
use uie_store::PRESET_LIMIT;

/// The operations of the API. Those of one path are in the order of its `Allow` header.
pub(super) static ROUTES: LazyLock<Routes> = LazyLock::new(|| {
    routes![
        connections::list,
        users::count,
        jobs::start_export { body_limit: Some(BodyLimit::Json(JSON_LIMIT)) },
        jobs::start_import { body_limit: Some(BodyLimit::ImportForm) },
        jobs::inspect { body_limit: Some(BodyLimit::InspectForm) },
        jobs::read,
        jobs::cancel,
        jobs::resume,
        jobs::retry { body_limit: Some(BodyLimit::ImportForm) },
        jobs::report { head: false },
        jobs::backup { head: false },
        jobs::download,
        history::list,
        attributes::list,
        presets::list,
        presets::read,
        presets::write { body_limit: Some(BodyLimit::Json(PRESET_LIMIT)) },
        presets::remove,
        transforms::list,
        transforms::activate,
        transforms::upload { body_limit: Some(BodyLimit::File(LARGEST_FILE)) },
        transforms::remove,
        preview::compute { body_limit: Some(BodyLimit::Json(JSON_LIMIT)) },
        sessions::list,
        sessions::end,
        about::read,
        health::alive,
        health::ready,
        metrics_route::read,
    ]
});
