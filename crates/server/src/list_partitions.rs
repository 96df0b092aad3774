use partita_model::{TenantId, Violations};
use partita_proto::v1;
use partita_store::{PageKey, Store, StoreError};
use tonic::{Request, Response, Status};
use tracing::Span;

use crate::limits::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};
use crate::status::refuse;
use crate::{page_token, partition_message};

/// Lists the partitions of one tenant or of all, page by page.
pub(crate) async fn list_partitions(
    store: &Store,
    request: Request<v1::ListPartitionsRequest>,
) -> Result<Response<v1::ListPartitionsResponse>, Status> {
    let request = request.into_inner();
    let list = List::parse(&request).map_err(|violations| refuse(&StoreError::Invalid(violations)))?;
    if let Some(tenant) = &list.tenant {
        Span::current().record("tenant", tenant.as_str());
    }
    // One row more than the page tells whether there is another page.
    let mut sizes = store
        .partitions()
        .list(list.tenant.as_ref(), list.after.as_ref(), list.page_size + 1, request.include_detached)
        .await
        .map_err(|error| refuse(&error))?;
    let page_size = list.page_size as usize;
    let more = sizes.len() > page_size;
    sizes.truncate(page_size);
    let last = sizes.last().filter(|_| more);
    let next_page_token = last
        .map(|last| PageKey {
            tenant_id: last.tenant_id.clone(),
            range_start: last.range_start,
            partition_name: last.partition_name.clone(),
        })
        .map(|last| page_token::encode(&request.tenant_id, &last))
        .unwrap_or_default();
    let partitions = sizes.into_iter().map(partition_message::partition).collect();
    Ok(Response::new(v1::ListPartitionsResponse { partitions, next_page_token }))
}

/// A request that is within every limit.
pub(crate) struct List {
    tenant: Option<TenantId>,
    page_size: u32,
    after: Option<PageKey>,
}

impl List {
    pub(crate) fn parse(request: &v1::ListPartitionsRequest) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let tenant = match request.tenant_id.as_str() {
            "" => None,
            tenant => violations.check("tenant_id", TenantId::parse(tenant)),
        };
        let page_size = violations.check("page_size", parse_page_size(request.page_size));
        let after = match request.page_token.as_str() {
            "" => None,
            token => violations.check("page_token", page_token::decode(&request.tenant_id, token)),
        };
        match page_size {
            Some(page_size) if violations.is_empty() => Ok(Self { tenant, page_size, after }),
            _ => Err(violations),
        }
    }
}

pub(crate) fn parse_page_size(sent: i32) -> Result<u32, String> {
    match u32::try_from(sent) {
        Ok(0) => Ok(PAGE_SIZE_DEFAULT),
        Ok(size) => Ok(size.min(PAGE_SIZE_MAX)),
        Err(_) => Err(format!("is {sent}: give 0 (for {PAGE_SIZE_DEFAULT}) to {PAGE_SIZE_MAX}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_size_has_a_default_and_a_bound() {
        assert_eq!(
            [0, 1, 1_000, i32::MAX].map(|size| parse_page_size(size).unwrap()),
            [100, 1, 1_000, 1_000]
        );
        assert!(parse_page_size(-1).is_err());
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        let request = v1::ListPartitionsRequest {
            tenant_id: "\0".to_owned(),
            page_size: -1,
            page_token: "nonsense".to_owned(),
            include_detached: false,
        };
        let violations = List::parse(&request).err().unwrap();
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["tenant_id", "page_size", "page_token"]);
    }
}
