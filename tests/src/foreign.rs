use sqlx::PgExecutor;
use uuid::Uuid;

/// An event as another program writes it straight into the legacy table.
#[derive(Debug, Clone)]
pub struct ForeignEvent<'a> {
    /// The owner of the stream.
    pub tenant: &'a str,
    /// The stream's aggregate, of type `order`.
    pub aggregate_id: &'a str,
    /// Its place in the stream.
    pub version: i32,
    /// When it happened, RFC 3339; none: now.
    pub timestamp: Option<&'a str>,
}

impl<'a> ForeignEvent<'a> {
    /// An event that happens now.
    pub fn new(tenant: &'a str, aggregate_id: &'a str, version: i32) -> Self {
        Self { tenant, aggregate_id, version, timestamp: None }
    }

    /// The hash that the program gives it.
    pub fn hash(&self) -> String {
        format!("foreign-{}-{}", self.aggregate_id, self.version)
    }

    /// Writes it, in the transaction of the executor if there is one; gives its id.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn write(&self, executor: impl PgExecutor<'_>) -> sqlx::Result<Uuid> {
        let event_id = Uuid::new_v4();
        sqlx::query(
            "INSERT INTO public.event_store (event_id, event_type, aggregate_type, aggregate_id, \
             aggregate_version, event_data, tenant_id, user_id, event_hash, event_timestamp, created_at) \
             VALUES ($1, 'Foreign', 'order', $2, $3, '{\"by\": \"another program\"}', $4, 'legacy-app', $5, \
             coalesce($6::timestamptz, now()), now())",
        )
        .bind(event_id)
        .bind(self.aggregate_id)
        .bind(self.version)
        .bind(self.tenant)
        .bind(self.hash())
        .bind(self.timestamp)
        .execute(executor)
        .await?;
        Ok(event_id)
    }
}
