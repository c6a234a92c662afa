//! The table of presets: saved settings, shared by the admins of a tenant.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::Row;

use super::{JobKind, Store, storage};
use crate::error::{Code, Error, Result};

/// Saved settings of an export or an import.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// Its name, unique within the tenant.
    pub name: String,
    /// What it is for.
    pub kind: JobKind,
    /// The settings as they were saved.
    pub settings: Value,
    /// When it was saved last.
    pub updated_at: Timestamp,
}

fn not_found(name: &str) -> Error {
    Error::new(Code::PresetNotFound, format!("There is no preset {name:?}."))
}

impl Store {
    /// Saves a preset, in place of an older one of the same name.
    pub async fn put_preset(&self, tenant: &str, preset: &Preset) -> Result<()> {
        sqlx::query(
            "INSERT INTO presets (tenant, name, type, settings, updated_at) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (tenant, name) DO UPDATE SET type = excluded.type, settings = excluded.settings, \
             updated_at = excluded.updated_at",
        )
        .bind(tenant)
        .bind(&preset.name)
        .bind(preset.kind.as_str())
        .bind(preset.settings.to_string())
        .bind(preset.updated_at.as_millisecond())
        .execute(self.pool())
        .await
        .map_err(storage)?;
        Ok(())
    }

    /// The presets of a tenant, by name.
    pub async fn presets(&self, tenant: &str) -> Result<Vec<Preset>> {
        let rows = sqlx::query("SELECT name, type, settings, updated_at FROM presets WHERE tenant = ? ORDER BY name")
            .bind(tenant)
            .fetch_all(self.pool())
            .await
            .map_err(storage)?;
        rows.iter()
            .map(|row| {
                let name: String = row.try_get("name").map_err(storage)?;
                let broken =
                    || Error::new(Code::Storage, format!("The database holds a preset {name:?} that is broken."));
                let settings: &str = row.try_get("settings").map_err(storage)?;
                let updated_at = row.try_get("updated_at").map_err(storage)?;
                Ok(Preset {
                    kind: row.try_get::<&str, _>("type").map_err(storage)?.parse()?,
                    settings: serde_json::from_str(settings).map_err(|_| broken())?,
                    updated_at: Timestamp::from_millisecond(updated_at).map_err(|_| broken())?,
                    name,
                })
            })
            .collect()
    }

    /// One preset of a tenant.
    pub async fn preset(&self, tenant: &str, name: &str) -> Result<Preset> {
        let presets = self.presets(tenant).await?;
        presets.into_iter().find(|preset| preset.name == name).ok_or_else(|| not_found(name))
    }

    /// Removes a preset.
    pub async fn delete_preset(&self, tenant: &str, name: &str) -> Result<()> {
        let deleted = sqlx::query("DELETE FROM presets WHERE tenant = ? AND name = ?")
            .bind(tenant)
            .bind(name)
            .execute(self.pool())
            .await
            .map_err(storage)?;
        if deleted.rows_affected() == 0 { Err(not_found(name)) } else { Ok(()) }
    }
}
