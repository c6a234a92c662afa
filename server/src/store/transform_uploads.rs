//! The table of uploads of transforms: who uploaded which version, and when.

use jiff::Timestamp;
use secrecy::ExposeSecret;
use sqlx::Row;

use super::{Store, storage};
use crate::error::{Code, Error, Result};

/// What addresses in this table are sealed for.
const AUTHOR: &str = "author of a transform";

/// An upload of a transform.
#[derive(Clone, Debug, PartialEq)]
pub struct TransformUpload {
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Name of the transform.
    pub name: String,
    /// E-mail address of the admin who uploaded it, where the session had one.
    pub author: Option<String>,
    /// When the file was uploaded for the first time.
    pub uploaded_at: Timestamp,
}

impl Store {
    /// Records an upload. A file that was uploaded before keeps its record.
    pub async fn put_transform_upload(&self, upload: &TransformUpload) -> Result<()> {
        let author = match &upload.author {
            Some(author) => Some(self.sealer(AUTHOR)?.seal(&upload.sha256, author)?),
            None => None,
        };
        sqlx::query(
            "INSERT INTO transform_uploads (sha256, name, sealed_author, uploaded_at) VALUES (?, ?, ?, ?) \
             ON CONFLICT (sha256) DO NOTHING",
        )
        .bind(&upload.sha256)
        .bind(&upload.name)
        .bind(author)
        .bind(upload.uploaded_at.as_millisecond())
        .execute(self.pool())
        .await
        .map_err(storage)?;
        Ok(())
    }

    /// All uploads, oldest first.
    pub async fn transform_uploads(&self) -> Result<Vec<TransformUpload>> {
        let authors = self.sealer(AUTHOR)?;
        let rows = sqlx::query(
            "SELECT sha256, name, sealed_author, uploaded_at FROM transform_uploads ORDER BY uploaded_at, sha256",
        )
        .fetch_all(self.pool())
        .await
        .map_err(storage)?;
        rows.iter()
            .map(|row| {
                let sha256: String = row.try_get("sha256").map_err(storage)?;
                let author: Option<&str> = row.try_get("sealed_author").map_err(storage)?;
                let author = author.and_then(|sealed| Some(authors.open(&sha256, sealed)?.expose_secret().to_owned()));
                let uploaded_at = row.try_get("uploaded_at").map_err(storage)?;
                let uploaded_at = Timestamp::from_millisecond(uploaded_at).map_err(|_| {
                    Error::new(Code::Storage, "The database holds an upload of a transform that is broken.")
                })?;
                Ok(TransformUpload { name: row.try_get("name").map_err(storage)?, sha256, author, uploaded_at })
            })
            .collect()
    }

    /// Removes the record of an upload.
    pub async fn delete_transform_upload(&self, sha256: &str) -> Result<()> {
        sqlx::query("DELETE FROM transform_uploads WHERE sha256 = ?")
            .bind(sha256)
            .execute(self.pool())
            .await
            .map_err(storage)?;
        Ok(())
    }
}
