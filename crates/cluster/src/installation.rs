//! One PostgreSQL installation: where its programs are and which version they say they are.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest major version that Partita's schema and statements are tested on.
pub const VERSION_MIN: u32 = 15;

/// The programs without which there is no cluster.
const PROGRAMS: [&str; 2] = ["initdb", "postgres"];

/// Version of an installation, ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PgVersion {
    /// Data folders of one major version cannot be opened by another.
    pub major: u32,
    /// 0 for a beta or a development build.
    pub minor: u32,
}

/// The bin folder of a PostgreSQL of at least [`VERSION_MIN`]. Made by [`Search`](crate::Search) alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    bin_dir: PathBuf,
    version: PgVersion,
}

impl Installation {
    /// The folder of `initdb`, `postgres` and, in most installations, `psql`.
    #[must_use]
    pub fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    /// What `postgres --version` said.
    #[must_use]
    pub fn version(&self) -> PgVersion {
        self.version
    }

    /// The path of one of its programs.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin_dir.join(name)
    }

    /// Looks at one folder. The error is a reason in a few words, to stand beside the folder in a list.
    pub(crate) fn at(bin_dir: &Path) -> Result<Self, String> {
        if let Some(missing) = PROGRAMS.iter().find(|name| !bin_dir.join(name).is_file()) {
            return Err(format!("no {missing} in it"));
        }
        let bin_dir = resolve_links(bin_dir);
        let output = Command::new(bin_dir.join("postgres"))
            .arg("--version")
            .output()
            .map_err(|error| format!("postgres --version cannot be run: {error}"))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let version = PgVersion::parse(&said)
            .ok_or_else(|| format!("postgres --version ended with {} and said {said:?}", output.status))?;
        if version.major < VERSION_MIN {
            return Err(format!("version {version} is older than {VERSION_MIN}"));
        }
        Ok(Self { bin_dir, version })
    }

    /// Whether a folder is worth running a program in.
    pub(crate) fn looks_like_one(bin_dir: &Path) -> bool {
        PROGRAMS.iter().all(|name| bin_dir.join(name).is_file())
    }
}

impl PgVersion {
    /// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0)`, `… 18beta1`, `… 19devel`.
    fn parse(said: &str) -> Option<Self> {
        let number = said.split_once("(PostgreSQL) ")?.1.split_whitespace().next()?;
        let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
        let major = digits(number);
        let minor = number.strip_prefix(&major)?.strip_prefix('.').map(digits);
        Some(Self { major: major.parse().ok()?, minor: minor.map_or(Some(0), |minor| minor.parse().ok())? })
    }
}

impl fmt::Display for PgVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Follows links from a folder like `/usr/local/bin` to the one that holds the rest of the installation: it is
/// that folder which the account running PostgreSQL must be able to enter. A link to a version manager's shim
/// leads to a folder without `initdb`; then the folder stays as it was named.
fn resolve_links(bin_dir: &Path) -> PathBuf {
    let real = bin_dir.join("postgres").canonicalize().ok();
    real.as_deref()
        .and_then(Path::parent)
        .filter(|dir| Installation::looks_like_one(dir))
        .map_or_else(|| bin_dir.to_path_buf(), Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_releases_and_previews_are_read() {
        let cases = [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some((15, 18))),
            ("postgres (PostgreSQL) 18.0\n", Some((18, 0))),
            ("postgres (PostgreSQL) 18beta1\n", Some((18, 0))),
            ("postgres (PostgreSQL) 19devel\n", Some((19, 0))),
            ("postgres (PostgreSQL) \n", None),
            ("command not found\n", None),
        ];
        for (said, expected) in cases {
            let version = PgVersion::parse(said).map(|v| (v.major, v.minor));
            assert_eq!(version, expected, "{said:?}");
        }
    }
}
