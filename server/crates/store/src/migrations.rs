//! The migrations of the database schema, compiled into the binary from `server/crates/store/migrations`.
//!
//! `sqlx::migrate!` does the same, but its macro compiles SQLite and `sqlx` a second time, for the compiler.

use std::borrow::Cow;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Version, description and SQL of each migration, by version.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "jobs", include_str!("../migrations/0001_jobs.sql")),
    (2, "import chunks", include_str!("../migrations/0002_import_chunks.sql")),
    (3, "presets", include_str!("../migrations/0003_presets.sql")),
    (4, "ordered exports", include_str!("../migrations/0004_ordered_exports.sql")),
    (5, "job author", include_str!("../migrations/0005_job_author.sql")),
    (6, "sealed author", include_str!("../migrations/0006_sealed_author.sql")),
    (7, "sessions", include_str!("../migrations/0007_sessions.sql")),
    (8, "job rights", include_str!("../migrations/0008_job_rights.sql")),
    (9, "retry job", include_str!("../migrations/0009_retry_job.sql")),
    (11, "clock", include_str!("../migrations/0011_clock.sql")),
    (12, "transform uploads", include_str!("../migrations/0012_transform_uploads.sql")),
];

/// Returns the migrator that updates a database of any earlier version to the current schema.
pub(super) fn migrator() -> Migrator {
    let migration = |&(version, description, sql): &(i64, &'static str, &'static str)| {
        let description = Cow::Borrowed(description);
        Migration::new(version, description, MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(MIGRATIONS.iter().map(migration).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_listed_with_its_version_and_description() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let files = std::fs::read_dir(directory).expect("the directory of migrations");
        let mut files: Vec<String> =
            files.map(|file| file.expect("a file").file_name().into_string().expect("a name")).collect();
        files.sort();
        let listed: Vec<String> = MIGRATIONS
            .iter()
            .map(|(version, description, _)| format!("{version:04}_{}.sql", description.replace(' ', "_")))
            .collect();
        assert_eq!(listed, files);
    }
}
