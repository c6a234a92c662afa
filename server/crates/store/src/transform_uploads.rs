//! The table of uploaded transforms: user and date of each version.

use jiff::Timestamp;
use secrecy::ExposeSecret;
use sqlx::Row;

use super::storage_error::db_error;
use super::store::Store;
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;

/// Encryption purpose of the addresses in this table. The context is the SHA-256 of the file.
const AUTHOR_PURPOSE: &str = "author of a transform";

/// An upload of a transform.
#[derive(Clone, Debug, PartialEq)]
pub struct TransformUpload {
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Name of the transform.
    pub name: String,
    /// E-mail address of the admin who uploaded it; `None` if the session had none.
    pub author: Option<String>,
    /// When the file was first uploaded.
    pub uploaded_at: Timestamp,
}

impl Store {
    /// Records an upload. Does not change the record of a file that was uploaded before.
    pub async fn put_transform_upload(&self, upload: &TransformUpload) -> Result<()> {
        let author = match &upload.author {
            Some(author) => Some(self.encryptor(AUTHOR_PURPOSE)?.seal(&upload.sha256, author)?),
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
        .map_err(db_error)?;
        Ok(())
    }

    /// Returns all uploads, oldest first.
    pub async fn transform_uploads(&self) -> Result<Vec<TransformUpload>> {
        let authors = self.encryptor(AUTHOR_PURPOSE)?;
        let rows = sqlx::query(
            "SELECT sha256, name, sealed_author, uploaded_at FROM transform_uploads ORDER BY uploaded_at, sha256",
        )
        .fetch_all(self.pool())
        .await
        .map_err(db_error)?;
        rows.iter()
            .map(|row| {
                let sha256: String = row.try_get("sha256").map_err(db_error)?;
                let author: Option<&str> = row.try_get("sealed_author").map_err(db_error)?;
                let author = author.and_then(|sealed| Some(authors.open(&sha256, sealed)?.expose_secret().to_owned()));
                let uploaded_at = row.try_get("uploaded_at").map_err(db_error)?;
                let uploaded_at = Timestamp::from_millisecond(uploaded_at).map_err(|_| {
                    Error::new(
                        Code::Storage,
                        message!("The database holds an upload of a transform whose date cannot be read."),
                    )
                })?;
                Ok(TransformUpload { name: row.try_get("name").map_err(db_error)?, sha256, author, uploaded_at })
            })
            .collect()
    }

    /// Removes the record of an upload.
    pub async fn delete_transform_upload(&self, sha256: &str) -> Result<()> {
        sqlx::query("DELETE FROM transform_uploads WHERE sha256 = ?")
            .bind(sha256)
            .execute(self.pool())
            .await
            .map_err(db_error)?;
        Ok(())
    }
}
