use partita_migration::{Migration, MigrationError};
use partita_model::{TenantId, Violations};
use partita_proto::v1;
use partita_store::StoreError;
use tonic::{Request, Response, Status};

use crate::list_partitions::parse_page_size;
use crate::migration::message::{mismatch, quarantined};
use crate::migration::page_token::{self, Place};
use crate::migration::request::parse_tenant;
use crate::status::{refuse, refuse_migration};

/// Lists differences, then rows in quarantine, page by page.
pub(crate) async fn list_mismatches(
    migration: &Migration,
    request: Request<v1::ListMismatchesRequest>,
) -> Result<Response<v1::ListMismatchesResponse>, Status> {
    let request = request.into_inner();
    let list = List::parse(&request).map_err(|violations| refuse(&StoreError::Invalid(violations)))?;
    let (mut page, next) = list.page(migration).await.map_err(|error| refuse_migration(&error))?;
    page.next_page_token =
        next.map(|place| page_token::encode(&request.tenant_id, place)).unwrap_or_default();
    Ok(Response::new(page))
}

/// A request that is within every limit.
pub(super) struct List {
    pub(super) tenant: Option<TenantId>,
    pub(super) page_size: u32,
    pub(super) begin: Place,
}

impl List {
    pub(super) fn parse(request: &v1::ListMismatchesRequest) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let tenant = parse_tenant(&mut violations, &request.tenant_id);
        let page_size = violations.check("page_size", parse_page_size(request.page_size));
        let begin = match request.page_token.as_str() {
            "" => Some(Place::Mismatches(0)),
            token => violations.check("page_token", page_token::decode(&request.tenant_id, token)),
        };
        match (page_size, begin) {
            (Some(page_size), Some(begin)) if violations.is_empty() => Ok(Self { tenant, page_size, begin }),
            _ => Err(violations),
        }
    }

    /// The page, and where the next one begins.
    async fn page(
        &self,
        migration: &Migration,
    ) -> Result<(v1::ListMismatchesResponse, Option<Place>), MigrationError> {
        let mut page = v1::ListMismatchesResponse::default();
        let most = self.page_size as usize;
        let after = match self.begin {
            Place::Quarantine(after) => after,
            Place::Mismatches(after) => {
                let found = migration.mismatches(after, self.page_size, self.tenant.as_ref()).await?;
                let last = found.last().map(|last| last.id);
                page.mismatches = found.into_iter().map(mismatch).collect();
                if let (Some(last), true) = (last, page.mismatches.len() == most) {
                    return Ok((page, Some(Place::Mismatches(last))));
                }
                0
            }
        };
        let next = self.fill_with_quarantine(migration, &mut page, after).await?;
        Ok((page, next.map(Place::Quarantine)))
    }

    /// Fills a page up; gives the number behind which the list goes on.
    async fn fill_with_quarantine(
        &self,
        migration: &Migration,
        page: &mut v1::ListMismatchesResponse,
        mut after: i64,
    ) -> Result<Option<i64>, MigrationError> {
        let room = (self.page_size as usize).saturating_sub(page.mismatches.len());
        loop {
            let rows = migration.quarantine(after, self.page_size).await?;
            if rows.is_empty() {
                return Ok(None);
            }
            for row in rows {
                if page.quarantined.len() == room {
                    return Ok(Some(after));
                }
                after = row.id;
                let is_meant = self
                    .tenant
                    .as_ref()
                    .is_none_or(|tenant| row.tenant_id.as_deref() == Some(tenant.as_str()));
                if is_meant {
                    page.quarantined.push(quarantined(row));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_named_at_once() {
        let request = v1::ListMismatchesRequest {
            tenant_id: "\0".to_owned(),
            page_size: -1,
            page_token: "nonsense".to_owned(),
        };
        let violations = List::parse(&request).err().unwrap();
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["tenant_id", "page_size", "page_token"]);
    }
}
