//! The table of presets: saved settings, shared by the admins of a tenant.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::Row;

use super::jobs::JobKind;
use super::storage_error::db_error;
use super::store::Store;
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;

/// Maximum size of the settings of a preset, in bytes of JSON.
pub const PRESET_LIMIT: usize = 64 << 10;

/// Maximum number of presets of one tenant.
pub const PRESET_QUOTA: u32 = 500;

/// Saved settings of an export or an import.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// Its name, unique within the tenant.
    pub name: String,
    /// Whether it is for exports or imports.
    pub kind: JobKind,
    /// The saved settings.
    pub settings: Value,
    /// When it was last saved.
    pub updated_at: Timestamp,
}

/// A preset without its settings, for lists.
#[derive(Clone, Debug, PartialEq)]
pub struct PresetEntry {
    /// Its name, unique within the tenant.
    pub name: String,
    /// Whether it is for exports or imports.
    pub kind: JobKind,
    /// When it was last saved.
    pub updated_at: Timestamp,
}

fn not_found(name: &str) -> Error {
    Error::new(Code::PresetNotFound, message!("There is no preset {name:?}."))
}

fn too_large(name: &str, bytes: usize) -> Error {
    let limit = PRESET_LIMIT;
    let message = message!("The preset {name:?} has {bytes} bytes; the limit is {limit} bytes.");
    Error::new(Code::PresetTooLarge, message)
}

fn unreadable(name: &str) -> Error {
    Error::new(Code::Storage, message!("The preset {name:?} in the database cannot be read."))
        .with_hint(message!("Delete the preset and save it again."))
}

impl Store {
    /// Saves a preset. Replaces an existing one of the same name.
    ///
    /// Fails with [`Code::PresetTooLarge`] above [`PRESET_LIMIT`], and with [`Code::PresetQuota`] if the tenant
    /// has [`PRESET_QUOTA`] other presets.
    pub async fn put_preset(&self, tenant: &str, preset: &Preset) -> Result<()> {
        let settings = preset.settings.to_string();
        if settings.len() > PRESET_LIMIT {
            return Err(too_large(&preset.name, settings.len()));
        }
        // One statement, so that parallel requests cannot exceed the quota together.
        let saved = sqlx::query(
            "INSERT INTO presets (tenant, name, type, settings, updated_at) SELECT ?1, ?2, ?3, ?4, ?5 \
             WHERE (SELECT COUNT(*) FROM presets WHERE tenant = ?1) < ?6 \
             OR EXISTS (SELECT 1 FROM presets WHERE tenant = ?1 AND name = ?2) \
             ON CONFLICT (tenant, name) DO UPDATE SET type = excluded.type, settings = excluded.settings, \
             updated_at = excluded.updated_at",
        )
        .bind(tenant)
        .bind(&preset.name)
        .bind(preset.kind.as_str())
        .bind(settings)
        .bind(preset.updated_at.as_millisecond())
        .bind(PRESET_QUOTA)
        .execute(self.pool())
        .await
        .map_err(db_error)?;
        if saved.rows_affected() == 0 {
            let message = message!("This tenant already has {limit} presets.", limit = PRESET_QUOTA);
            return Err(Error::new(Code::PresetQuota, message));
        }
        Ok(())
    }

    /// Returns the presets of a tenant, sorted by name, without their settings.
    pub async fn preset_entries(&self, tenant: &str) -> Result<Vec<PresetEntry>> {
        let rows = sqlx::query("SELECT name, type, updated_at FROM presets WHERE tenant = ? ORDER BY name")
            .bind(tenant)
            .fetch_all(self.pool())
            .await
            .map_err(db_error)?;
        rows.iter()
            .map(|row| {
                let name: String = row.try_get("name").map_err(db_error)?;
                let updated_at = row.try_get("updated_at").map_err(db_error)?;
                Ok(PresetEntry {
                    kind: row.try_get::<&str, _>("type").map_err(db_error)?.parse()?,
                    updated_at: Timestamp::from_millisecond(updated_at).map_err(|_| unreadable(&name))?,
                    name,
                })
            })
            .collect()
    }

    /// Returns one preset of a tenant.
    ///
    /// Fails with [`Code::PresetNotFound`], and with [`Code::PresetTooLarge`] if a version without the limit saved a
    /// larger one; its settings are not read into memory.
    pub async fn preset(&self, tenant: &str, name: &str) -> Result<Preset> {
        let row = sqlx::query(
            "SELECT type, updated_at, length(CAST(settings AS BLOB)) AS bytes, \
             iif(length(CAST(settings AS BLOB)) <= ?, settings, NULL) AS settings \
             FROM presets WHERE tenant = ? AND name = ?",
        )
        .bind(integer(PRESET_LIMIT))
        .bind(tenant)
        .bind(name)
        .fetch_optional(self.pool())
        .await
        .map_err(db_error)?
        .ok_or_else(|| not_found(name))?;
        let bytes: i64 = row.try_get("bytes").map_err(db_error)?;
        let settings: Option<&str> = row.try_get("settings").map_err(db_error)?;
        let settings = settings.ok_or_else(|| {
            too_large(name, usize::try_from(bytes).unwrap_or_default())
                .with_hint(message!("Delete this preset; then save the settings again with fewer or shorter columns."))
        })?;
        let updated_at = row.try_get("updated_at").map_err(db_error)?;
        Ok(Preset {
            name: name.to_owned(),
            kind: row.try_get::<&str, _>("type").map_err(db_error)?.parse()?,
            settings: serde_json::from_str(settings).map_err(|_| unreadable(name))?,
            updated_at: Timestamp::from_millisecond(updated_at).map_err(|_| unreadable(name))?,
        })
    }

    /// Removes a preset. Fails with [`Code::PresetNotFound`].
    pub async fn delete_preset(&self, tenant: &str, name: &str) -> Result<()> {
        let deleted = sqlx::query("DELETE FROM presets WHERE tenant = ? AND name = ?")
            .bind(tenant)
            .bind(name)
            .execute(self.pool())
            .await
            .map_err(db_error)?;
        if deleted.rows_affected() == 0 { Err(not_found(name)) } else { Ok(()) }
    }
}

fn integer(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn preset(name: &str, settings: Value) -> Preset {
        Preset { name: name.to_owned(), kind: JobKind::Export, settings, updated_at: Timestamp::UNIX_EPOCH }
    }

    async fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        (directory, store)
    }

    #[tokio::test]
    async fn parallel_saves_do_not_exceed_the_quota_and_existing_presets_can_still_be_saved() {
        let (_directory, store) = store().await;
        for number in 0..PRESET_QUOTA - 1 {
            store.put_preset("acme", &preset(&format!("preset {number}"), json!({}))).await.unwrap();
        }
        let last: Vec<Preset> = (0..24).map(|number| preset(&format!("last {number}"), json!({}))).collect();
        let saves = last.iter().map(|preset| store.put_preset("acme", preset));
        let saved = futures_util::future::join_all(saves).await;
        assert_eq!(saved.iter().filter(|saved| saved.is_ok()).count(), 1);
        assert!(saved.iter().filter_map(|saved| saved.as_ref().err()).all(|error| error.code == Code::PresetQuota));
        assert_eq!(store.preset_entries("acme").await.unwrap().len(), PRESET_QUOTA as usize);
        store.put_preset("acme", &preset("preset 7", json!({"format": "csv"}))).await.unwrap();
        store.put_preset("other", &preset("preset 7", json!({}))).await.unwrap();
    }

    #[tokio::test]
    async fn a_preset_above_the_limit_is_neither_saved_nor_read_but_listed_and_deleted() {
        let (_directory, store) = store().await;
        let fits = json!("x".repeat(PRESET_LIMIT - 2));
        store.put_preset("acme", &preset("fits", fits.clone())).await.unwrap();
        assert_eq!(store.preset("acme", "fits").await.unwrap().settings, fits);
        let large = preset("large", json!("x".repeat(PRESET_LIMIT - 1)));
        assert_eq!(store.put_preset("acme", &large).await.unwrap_err().code, Code::PresetTooLarge);

        // A preset of a version without the limit.
        sqlx::query("INSERT INTO presets VALUES ('acme', 'large', 'import', ?, 0)")
            .bind(large.settings.to_string())
            .execute(store.pool())
            .await
            .unwrap();
        let names: Vec<_> = store.preset_entries("acme").await.unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["fits", "large"]);
        let error = store.preset("acme", "large").await.unwrap_err();
        assert_eq!(error.code, Code::PresetTooLarge);
        assert!(error.message.contains("65537 bytes"), "{}", error.message);
        store.delete_preset("acme", "large").await.unwrap();
        assert_eq!(store.preset("acme", "large").await.unwrap_err().code, Code::PresetNotFound);
    }
}
