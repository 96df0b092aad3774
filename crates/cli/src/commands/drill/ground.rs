//! What a drill stands on: a PostgreSQL of its own, a folder for logs, and what ends all processes with this one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use partita_cluster::{Cluster, ClusterOptions, DATABASE, Search};
use partita_proof::process::Watchdog;
use partita_store::{DatabaseUrl, schema};
use tempfile::TempDir;

use super::DrillArgs;
use crate::commands::migrate;
use crate::failure::{Exit, Failure};

/// Room for the sessions of three services, of the copies and of the proofs.
const SETTINGS: [(&str, &str); 3] =
    [("max_connections", "150"), ("deadlock_timeout", "200ms"), ("log_min_messages", "warning")];

/// Stands until it is cleared.
pub(super) struct Ground {
    pub(super) cluster: Cluster,
    pub(super) watchdog: Arc<Watchdog>,
    /// The log of all services.
    pub(super) log: PathBuf,
    folder: Option<TempDir>,
}

impl Ground {
    /// Starts PostgreSQL and brings the schema up.
    pub(super) async fn prepare(args: &DrillArgs) -> Result<Self, Failure> {
        let (place, folder) = match &args.data_dir {
            Some(wanted) => (claim(wanted)?, None),
            None => {
                let folder = tempfile::Builder::new().prefix("partita-drill-").tempdir();
                let folder = folder
                    .map_err(|error| Failure::internal("cannot make a folder for logs").because(error))?;
                (folder.path().to_path_buf(), Some(folder))
            }
        };
        let mut options = match folder {
            Some(_) => ClusterOptions::temporary(),
            None => {
                ClusterOptions { durable: false, ..ClusterOptions::at(place.join("cluster"), "--data-dir") }
            }
        };
        options.settings = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let watchdog = Watchdog::spawn();
        let watchdog =
            watchdog.map_err(|error| Failure::internal("cannot watch over processes").because(error))?;
        let cluster = boot(args.postgres_bin.clone(), options).await?;
        let ground = Self { cluster, watchdog: Arc::new(watchdog), log: place.join("services.log"), folder };
        match schema::up(&ground.database_url()?).await {
            Ok(_) => Ok(ground),
            Err(error) => {
                ground.cluster.stop().await;
                Err(migrate::failure("cannot migrate", &error))
            }
        }
    }

    pub(super) fn url(&self) -> String {
        self.cluster.url(DATABASE)
    }

    pub(super) fn database_url(&self) -> Result<DatabaseUrl, Failure> {
        DatabaseUrl::parse(&self.url())
            .map_err(|reason| Failure::internal(format!("the database has no usable URL: {reason}")))
    }

    /// Ends PostgreSQL. Where the drill did not go well, the logs are kept, and the failure tells where.
    pub(super) async fn clear(self, outcome: Result<(), Failure>) -> Result<(), Failure> {
        let Self { cluster, log, folder, .. } = self;
        let outcome = match (outcome, folder) {
            (Err(failure), Some(folder)) if failure.exit() == Exit::Refused => {
                let kept = folder.keep();
                // The services' log says more; it is there in any case.
                let _missing = fs::copy(cluster.log_path(), kept.join("postgresql.log"));
                Err(failure.fact("logs", kept.display()))
            }
            (Err(failure), None) => Err(failure.fact("logs", log.display())),
            (outcome, _) => outcome,
        };
        cluster.stop().await;
        outcome
    }
}

/// A folder that the user running PostgreSQL for root can pass through.
fn claim(wanted: &Path) -> Result<PathBuf, Failure> {
    let refused =
        |error| Failure::usage(format!("cannot use the folder {}", wanted.display())).because(error);
    let place = std::path::absolute(wanted).map_err(refused)?;
    fs::create_dir_all(&place).map_err(refused)?;
    if fs::read_dir(&place).map_err(refused)?.next().is_some() {
        let failure = Failure::usage(format!("cannot use the folder {}", place.display()));
        return Err(failure.because("it is not empty").next("name an empty or a new folder with --data-dir"));
    }
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).map_err(refused)?;
    Ok(place)
}

async fn boot(wanted: Option<PathBuf>, options: ClusterOptions) -> Result<Cluster, Failure> {
    let failed = |error| Failure::new(Exit::Unreachable, format!("cannot start PostgreSQL: {error}"));
    let search = Search { wanted, ..Search::new("--postgres-bin", std::env::var_os("PATH")) };
    let installation = search.find_or_fetch().await.map_err(failed)?;
    Cluster::start(installation, options).await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_something_in_it_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        assert!(claim(&folder.path().join("new")).is_ok());
        let refused = claim(folder.path()).unwrap_err();
        assert_eq!(refused.exit(), Exit::Usage);
        assert!(refused.text().contains("it is not empty"), "{}", refused.text());
    }
}
