use partita_proof::connect;
use partita_store::DatabaseUrl;
use sqlx::PgConnection;

use crate::TestDatabase;

const PASSWORD: &str = "let-me-in";

tokio::task_local! {
    static BEHIND_ROW_SECURITY: ();
}

/// Runs a claim with services that have the app's role alone, on tables that all keep them to the tenants that they name.
pub async fn behind_row_security(claim: impl Future<Output = ()>) {
    BEHIND_ROW_SECURITY.scope((), claim).await;
}

pub(crate) fn is_behind_row_security() -> bool {
    BEHIND_ROW_SECURITY.try_with(|()| ()).is_ok()
}

impl TestDatabase {
    /// A login that is a member of a group role and nothing else: where it connects to, and a session of it.
    pub async fn login(&self, role: &str) -> (DatabaseUrl, PgConnection) {
        let url = self.login_url(role).await;
        (DatabaseUrl::parse(&url).unwrap(), connect(&url).await.unwrap())
    }

    pub(crate) async fn login_url(&self, role: &str) -> String {
        let login = self.create_login(role).await;
        self.execute(format!("GRANT {role} TO \"{login}\"")).await;
        self.url_as(&login, PASSWORD)
    }

    /// A login that owns the database and its schema `public`, and may not create roles.
    pub async fn login_as_owner(&self) -> DatabaseUrl {
        let login = self.create_login("owner").await;
        let database = self.name();
        self.execute(format!(
            "ALTER DATABASE \"{database}\" OWNER TO \"{login}\"; ALTER SCHEMA public OWNER TO \"{login}\""
        ))
        .await;
        DatabaseUrl::parse(&self.url_as(&login, PASSWORD)).unwrap()
    }

    /// Makes the logins of this database members of whoever owns its tables.
    pub async fn grant_owner_to_logins(&self) {
        let owner: String = self
            .scalar("SELECT relowner::regrole::text FROM pg_class WHERE oid = 'event_store_partitioned'::regclass")
            .await;
        let logins = self.logins.lock().unwrap().clone();
        for login in logins {
            self.execute(format!("GRANT {owner} TO \"{login}\"")).await;
        }
    }

    async fn create_login(&self, purpose: &str) -> String {
        // Names of databases differ in their beginning; a name is cut after 63 bytes.
        let purpose = purpose.trim_start_matches("event_store_");
        let login = format!("{:.40}_{purpose}", self.name());
        self.execute(format!("CREATE ROLE \"{login}\" LOGIN PASSWORD '{PASSWORD}'")).await;
        self.logins.lock().unwrap().push(login.clone());
        login
    }
}
