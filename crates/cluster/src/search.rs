//! Finding PostgreSQL: where it was said to be, on the PATH, in the usual places, or among earlier downloads.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::error::{ClusterError, io_error};
use crate::fetch;
use crate::installation::Installation;

/// Where packages put the bin folder. A `*` ends a name and stands for any ending of it.
const USUAL_PLACES: [&str; 6] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
];

/// What to look for and where. The environment is the caller's to read: it comes in as arguments.
#[derive(Debug, Clone)]
pub struct Search {
    /// The bin folder (or the folder above it) that the user named: used, or the search fails.
    pub wanted: Option<PathBuf>,
    /// How a user names that folder, for error messages: an option, a variable.
    pub setting: String,
    /// The value of `PATH`.
    pub path: Option<OsString>,
    /// Folders to look at after the PATH; a `*` ends a name and stands for any ending of it.
    pub places: Vec<String>,
    /// Where downloads are kept, a folder a version.
    pub fetch_dir: Option<PathBuf>,
}

impl Search {
    /// A search of `path` and the usual places. `setting` is how a user names a bin folder.
    #[must_use]
    pub fn new(setting: impl Into<String>, path: Option<OsString>) -> Self {
        Self {
            wanted: None,
            setting: setting.into(),
            path,
            places: USUAL_PLACES.map(str::to_owned).to_vec(),
            fetch_dir: None,
        }
    }

    /// The installation that the user named; else the first usable one on the PATH; else the newest of the usual
    /// places and of `fetch_dir`.
    ///
    /// # Errors
    /// [`ClusterError::Unusable`] where the named folder is, [`ClusterError::NotFound`] where nothing is.
    pub fn find(&self) -> Result<Installation, ClusterError> {
        if let Some(wanted) = &self.wanted {
            return self.named(wanted);
        }
        let mut rejected = Vec::new();
        let mut look_at = |bin_dir: PathBuf| {
            Installation::at(&bin_dir)
                .inspect_err(|reason| rejected.push(format!("{} ({reason})", bin_dir.display())))
                .ok()
        };
        let on_path = self.on_path().into_iter().find_map(&mut look_at);
        let found = on_path.or_else(|| {
            let installed = self.in_places().into_iter().filter_map(&mut look_at);
            installed.max_by_key(Installation::version)
        });
        found.ok_or_else(|| self.not_found(&rejected))
    }

    /// As [`find`](Self::find); where nothing is found and `fetch_dir` is given, downloads PostgreSQL into it:
    /// some 20 MB, kept for the next time.
    ///
    /// # Errors
    /// As [`find`](Self::find), with the reason of the failed download beside the places that were looked at.
    pub async fn find_or_fetch(&self) -> Result<Installation, ClusterError> {
        let (looked, fetch_dir) = match (self.find(), &self.fetch_dir) {
            (Err(ClusterError::NotFound { looked, .. }), Some(fetch_dir)) => (looked, fetch_dir),
            (result, _) => return result,
        };
        // A closed folder is found out before anything is downloaded into it.
        let account = Account::choose()?;
        fs::create_dir_all(fetch_dir).map_err(io_error("create", fetch_dir))?;
        account
            .must_enter(fetch_dir, "open it with chmod o+x, or choose another folder for downloads")
            .await?;

        let fetched = fetch::fetch(fetch_dir).await;
        fetched.and_then(|bin_dir| Installation::at(&bin_dir)).map_err(|reason| ClusterError::NotFound {
            looked,
            setting: self.setting.clone(),
            fetch_error: Some(reason),
        })
    }

    fn named(&self, wanted: &Path) -> Result<Installation, ClusterError> {
        let below = wanted.join("bin");
        let bin_dir = if Installation::looks_like_one(&below) { &below } else { wanted };
        Installation::at(bin_dir).map_err(|reason| ClusterError::Unusable {
            path: wanted.to_path_buf(),
            reason,
            setting: self.setting.clone(),
        })
    }

    fn on_path(&self) -> Vec<PathBuf> {
        let folders = self.path.iter().flat_map(env::split_paths);
        folders.filter(|dir| dir.is_absolute() && Installation::looks_like_one(dir)).collect()
    }

    fn in_places(&self) -> Vec<PathBuf> {
        let places = self.places.iter().map(PathBuf::from);
        let fetched = self.fetch_dir.iter().map(|dir| dir.join("*/bin"));
        places.chain(fetched).flat_map(|p| expand(&p)).filter(|d| Installation::looks_like_one(d)).collect()
    }

    fn not_found(&self, rejected: &[String]) -> ClusterError {
        let mut looked = vec!["PATH".to_owned()];
        looked.extend(self.places.iter().cloned());
        looked.extend(self.fetch_dir.iter().map(|dir| dir.display().to_string()));
        let mut looked = looked.join(", ");
        if !rejected.is_empty() {
            looked = format!("{looked}; of no use: {}", rejected.join(", "));
        }
        ClusterError::NotFound { looked, setting: self.setting.clone(), fetch_error: None }
    }
}

/// The folders that a pattern stands for; without a `*` it stands for itself.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern {
        let prefix = part.to_str().and_then(|part| part.strip_suffix('*'));
        found = match prefix {
            None => found.into_iter().map(|dir| dir.join(part)).collect(),
            Some(prefix) => found.iter().flat_map(|dir| folders_in(dir, prefix)).collect(),
        };
    }
    found
}

/// The entries whose names start with `prefix`. A hidden one is a download that was never finished.
fn folders_in(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let names = fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let matching = names.filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with(prefix) && !name.starts_with('.')
    });
    matching.map(|name| parent.join(name)).collect()
}
