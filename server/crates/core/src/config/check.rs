//! Checks of settings that depend on each other or on what the settings are for.

use secrecy::{ExposeSecret, SecretString};

use super::loader::SettingsLoader;
use super::secret_strength::weak_secret_reason;
use super::table::Settings;
use super::types::{Login, Purpose};

/// Checks settings that were read. Reports problems to the loader and adds notices to the settings.
pub(super) fn check(settings: &mut Settings, purpose: Purpose, loader: &mut SettingsLoader) {
    check_metrics(settings, loader);
    check_extension_secrets(settings, loader);
    check_pair("AUTH0_CLIENT_ID", "AUTH0_CLIENT_SECRET", loader);
    check_pair("LOGIN_CLIENT_ID", "LOGIN_CLIENT_SECRET", loader);
    check_admins(settings, loader);
    check_required(settings, purpose, loader);
    // A misspelled name would make the secret available to all transforms.
    for name in settings.secret_users.keys().filter(|name| !settings.secrets.contains_key(*name)) {
        loader.report(format!("TRANSFORM_SECRETS names {name}, but SECRET_{name} is not set"));
    }
}

fn check_metrics(settings: &Settings, loader: &mut SettingsLoader) {
    if let Some(address) = settings.metrics_address
        && !address.ip().is_loopback()
        && settings.metrics_token.is_none()
    {
        loader.report(format!(
            "METRICS_TOKEN is not set, but METRICS_ADDRESS is {address} and not a loopback address, so every host in \
             that network could read the metrics: expected a token, such as the output of `openssl rand -hex 32`"
        ));
    }
}

fn check_extension_secrets(settings: &mut Settings, loader: &mut SettingsLoader) {
    let weak = |name: &str, secret: Option<&SecretString>, more: &str| {
        let why = weak_secret_reason(secret?.expose_secret())?;
        Some(format!("{name} {why}: {more}"))
    };
    let expected = "expected a random string of at least 16 bytes, such as the output of `openssl rand -hex 32`. To \
                    replace the current secret, set it as EXTENSION_SECRET_PREVIOUS beside the new one for one start";
    let current = settings.extension_secret.as_ref();
    if let Some(problem) = weak("EXTENSION_SECRET", current, expected) {
        loader.report(problem);
    }
    let used = "it is used only to decrypt data.key, and sessions and hook tokens that it signed are refused. Remove \
                it after this start";
    let previous = settings.data_key_secret_previous.as_ref();
    settings.notices.extend(weak("EXTENSION_SECRET_PREVIOUS", previous, used));
    if let (Some(current), Some(previous)) = (current, previous)
        && current.expose_secret() == previous.expose_secret()
    {
        loader.report(
            "EXTENSION_SECRET_PREVIOUS is the same as EXTENSION_SECRET: expected the earlier secret, or no value",
        );
    }
}

fn check_pair(id: &str, secret: &str, loader: &mut SettingsLoader) {
    match (loader.is_set(id), loader.is_set(secret)) {
        (true, false) => loader.report(format!("{secret} is not set, but {id} is: expected both or neither")),
        (false, true) => loader.report(format!("{id} is not set, but {secret} is: expected both or neither")),
        _ => {}
    }
}

fn check_admins(settings: &Settings, loader: &mut SettingsLoader) {
    let admins = &settings.admins;
    if settings.login != Login::Tenant {
        return;
    }
    if !admins.emails.is_empty() && admins.connection.is_none() {
        loader.report(
            "ADMIN_CONNECTION is not set, but ADMIN_EMAILS is: expected the connection whose e-mail addresses are \
             accepted, since any user may register an address in another connection",
        );
    }
    if !admins.roles.is_empty() && admins.roles_claim.is_none() {
        loader.report(
            "ADMIN_ROLES_CLAIM is not set, but ADMIN_ROLES is: expected the name of the id_token claim that lists roles",
        );
    }
}

fn check_required(settings: &Settings, purpose: Purpose, loader: &mut SettingsLoader) {
    if purpose != Purpose::Local {
        loader.require("AUTH0_DOMAIN", settings.domain.is_some());
    }
    if purpose == Purpose::Tenant || (purpose == Purpose::Serve && settings.login == Login::Tenant) {
        loader.require("AUTH0_CLIENT_ID", settings.client.is_some());
        loader.require("AUTH0_CLIENT_SECRET", settings.client.is_some());
    }
    if purpose == Purpose::Serve {
        loader.require("EXTENSION_SECRET", settings.extension_secret.is_some());
        let host = settings.host;
        if !host.is_loopback() && !loader.is_set("PUBLIC_WT_URL") && !loader.is_set("WT_URL") {
            loader.report(format!(
                "PUBLIC_WT_URL is not set: expected the public base URL of this server, since HOST is {host} and not \
                 a loopback address"
            ));
        }
    }
}
