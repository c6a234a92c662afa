//! The table of job rights: the permissions of the user who started a job.

use sqlx::Row;

use super::storage_error::db_error;
use super::store::Store;
use uie_core::error::Result;

/// The permissions of the user who started a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRights {
    /// Permissions when the job was created, separated by spaces.
    pub permissions: String,
    /// Whether Auth0 refused the user's own token with 401 or 403.
    pub refused: bool,
}

impl Store {
    /// Stores the rights of a new job.
    pub async fn put_job_rights(&self, job: &str, rights: &JobRights) -> Result<()> {
        sqlx::query("INSERT INTO job_rights (job_id, permissions, refused) VALUES (?, ?, ?)")
            .bind(job)
            .bind(&rights.permissions)
            .bind(rights.refused)
            .execute(self.pool())
            .await
            .map_err(db_error)?;
        Ok(())
    }

    /// Returns the rights of a job; `None` if a version that did not store them created the job.
    pub async fn job_rights(&self, job: &str) -> Result<Option<JobRights>> {
        let row = sqlx::query("SELECT permissions, refused FROM job_rights WHERE job_id = ?")
            .bind(job)
            .fetch_optional(self.pool())
            .await
            .map_err(db_error)?;
        row.map(|row| {
            Ok(JobRights {
                permissions: row.try_get("permissions").map_err(db_error)?,
                refused: row.try_get("refused").map_err(db_error)?,
            })
        })
        .transpose()
    }

    /// Replaces the rights of a user's unfinished jobs, after a new sign-in.
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
        .map_err(db_error)?;
        Ok(())
    }

    /// Records that Auth0 refused the own token of the user who started a job.
    pub async fn set_own_token_refused(&self, job: &str) -> Result<()> {
        sqlx::query("UPDATE job_rights SET refused = 1 WHERE job_id = ?")
            .bind(job)
            .execute(self.pool())
            .await
            .map_err(db_error)?;
        Ok(())
    }
}
