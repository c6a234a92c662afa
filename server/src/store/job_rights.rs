//! The table of job rights: what the person who started a job was permitted to do.

use sqlx::Row;

use super::{Store, storage};
use crate::error::Result;

/// What the person who started a job was permitted to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRights {
    /// Permissions when the job was created, separated by spaces.
    pub permissions: String,
    /// Whether Auth0 refused the person's own token with 401 or 403.
    pub refused: bool,
}

impl Store {
    /// Keeps the rights of a new job.
    pub async fn put_job_rights(&self, job: &str, rights: &JobRights) -> Result<()> {
        sqlx::query("INSERT INTO job_rights (job_id, permissions, refused) VALUES (?, ?, ?)")
            .bind(job)
            .bind(&rights.permissions)
            .bind(rights.refused)
            .execute(self.pool())
            .await
            .map_err(storage)?;
        Ok(())
    }

    /// The rights of a job; none for a job of a version that did not keep them.
    pub async fn job_rights(&self, job: &str) -> Result<Option<JobRights>> {
        let row = sqlx::query("SELECT permissions, refused FROM job_rights WHERE job_id = ?")
            .bind(job)
            .fetch_optional(self.pool())
            .await
            .map_err(storage)?;
        row.map(|row| {
            Ok(JobRights {
                permissions: row.try_get("permissions").map_err(storage)?,
                refused: row.try_get("refused").map_err(storage)?,
            })
        })
        .transpose()
    }

    /// Replaces the rights of a person's jobs that are not over, after a new sign-in.
    pub async fn replace_job_rights(&self, tenant: &str, owner: &str, rights: &JobRights) -> Result<()> {
        sqlx::query(
            "UPDATE job_rights SET permissions = ?, refused = ? WHERE job_id IN \
             (SELECT id FROM jobs WHERE tenant = ? AND owner = ? AND status IN ('pending', 'processing'))",
        )
        .bind(&rights.permissions)
        .bind(rights.refused)
        .bind(tenant)
        .bind(owner)
        .execute(self.pool())
        .await
        .map_err(storage)?;
        Ok(())
    }

    /// Records that Auth0 refused the own token of the person who started a job.
    pub async fn set_own_token_refused(&self, job: &str) -> Result<()> {
        sqlx::query("UPDATE job_rights SET refused = 1 WHERE job_id = ?")
            .bind(job)
            .execute(self.pool())
            .await
            .map_err(storage)?;
        Ok(())
    }
}
