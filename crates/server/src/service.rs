use std::pin::Pin;
use std::time::Duration;

use futures_util::Stream;
use partita_migration::Migration;
use partita_proto::v1::event_store_service_server::{EventStoreService, EventStoreServiceServer};
use partita_proto::v1::partition_admin_service_server::{PartitionAdminService, PartitionAdminServiceServer};
use partita_proto::v1::{
    AcceptQuarantinedRequest, AcceptQuarantinedResponse, AppendPipelineRequest, AppendPipelineResponse,
    AppendRequest, AppendResponse, AppendStreamsRequest, AppendStreamsResponse, CheckPartitionsRequest,
    CheckPartitionsResponse, GetAppendResultRequest, GetAppendResultResponse, ListPartitionsRequest,
    ListPartitionsResponse, MaintainPartitionsRequest, MaintainPartitionsResponse, PurgeLegacyRequest,
    PurgeLegacyResponse, ReadStreamRequest, ReadStreamResponse, RestorePartitionRequest,
    RestorePartitionResponse, SetLegalHoldRequest, SetLegalHoldResponse, SetRetentionRequest,
    SetRetentionResponse, VerifyChainRequest, VerifyChainResponse,
};
use partita_proto::v1::{
    ChangePhaseRequest, ChangePhaseResponse, ControlBackfillRequest, ControlBackfillResponse,
    GetMigrationStatusRequest, GetMigrationStatusResponse, ListMismatchesRequest, ListMismatchesResponse,
    PlanMigrationRequest, PlanMigrationResponse, RepairMismatchesRequest, RepairMismatchesResponse,
    VerifyMigrationRequest, VerifyMigrationResponse,
};
use partita_store::Store;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::append::append;
use crate::append_pipeline::append_pipeline;
use crate::append_streams::append_streams;
use crate::check_partitions::check_partitions;
use crate::config::ServerConfig;
use crate::gate::{Gate, Pass};
use crate::get_append_result::get_append_result;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::list_partitions::list_partitions;
use crate::maintain_partitions::maintain_partitions;
use crate::migration;
use crate::page_token;
use crate::purge_legacy::purge_legacy;
use crate::read_stream::read_stream;
use crate::restore_partition::restore_partition;
use crate::set_legal_hold::set_legal_hold;
use crate::set_retention::set_retention;
use crate::status::deny;
use crate::verify_chain::verify_chain;
use crate::watch::watched;

/// The messages of a streaming answer. The next one is made when the connection has room for it, so that a slow
/// reader slows the work down instead of filling memory.
pub(crate) type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The event store service over `store`; its pipelines end early once `shutdown` is cancelled.
pub(crate) fn event_store_service(
    store: &Store,
    config: &ServerConfig,
    gate: &Gate,
    shutdown: &CancellationToken,
) -> EventStoreServiceServer<impl EventStoreService + use<>> {
    let (store, config, gate, shutdown) = (store.clone(), config.clone(), gate.clone(), shutdown.clone());
    EventStoreServiceServer::new(EventStore { store, config, gate, shutdown })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

/// The partition admin service over `store`; its runs end early once `shutdown` is cancelled.
pub(crate) fn partition_admin_service(
    store: &Store,
    config: &ServerConfig,
    gate: &Gate,
    shutdown: &CancellationToken,
) -> PartitionAdminServiceServer<impl PartitionAdminService + use<>> {
    let migration = Migration::new(store.database_url().clone());
    let (store, gate, shutdown) = (store.clone(), gate.clone(), shutdown.clone());
    let stream_idle = config.limits.stream_idle;
    PartitionAdminServiceServer::new(PartitionAdmin { store, migration, gate, stream_idle, shutdown })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

struct EventStore {
    store: Store,
    config: ServerConfig,
    gate: Gate,
    shutdown: CancellationToken,
}

impl EventStore {
    /// Checks what the caller may, before the request is looked at; the call is open until the pass is dropped.
    /// **Invariant:** every call begins with it, or passes its messages through the gate one by one.
    fn let_in<T>(&self, request: &Request<T>, tenant_id: impl FnOnce(&T) -> &String) -> Result<Pass, Status> {
        let passed = self.gate.call(request.extensions(), tenant_id(request.get_ref()));
        passed.map_err(|denied| deny(&denied))
    }
}

#[tonic::async_trait]
impl EventStoreService for EventStore {
    async fn append(&self, request: Request<AppendRequest>) -> Result<Response<AppendResponse>, Status> {
        let _open = self.let_in(&request, |message| &message.tenant_id)?;
        append(&self.store, self.config.append_timeout, request).await
    }

    async fn append_streams(
        &self,
        request: Request<AppendStreamsRequest>,
    ) -> Result<Response<AppendStreamsResponse>, Status> {
        let _open = self.let_in(&request, |message| &message.tenant_id)?;
        append_streams(&self.store, self.config.append_timeout, request).await
    }

    type AppendPipelineStream = Messages<AppendPipelineResponse>;

    async fn append_pipeline(
        &self,
        request: Request<Streaming<AppendPipelineRequest>>,
    ) -> Result<Response<Messages<AppendPipelineResponse>>, Status> {
        let answer =
            append_pipeline(&self.store, &self.gate, self.config.append_timeout, &self.shutdown, request);
        let idle_max = self.config.limits.stream_idle;
        Ok(answer.map(|messages| watched(messages, Pass::default(), idle_max)))
    }

    async fn get_append_result(
        &self,
        request: Request<GetAppendResultRequest>,
    ) -> Result<Response<GetAppendResultResponse>, Status> {
        let _open = self.let_in(&request, |message| &message.tenant_id)?;
        get_append_result(&self.store, request).await
    }

    type ReadStreamStream = Messages<ReadStreamResponse>;

    async fn read_stream(
        &self,
        request: Request<ReadStreamRequest>,
    ) -> Result<Response<Messages<ReadStreamResponse>>, Status> {
        let open = self.let_in(&request, |message| &message.tenant_id)?;
        let answer = read_stream(&self.store, self.config.shadow.as_ref(), request).await?;
        Ok(answer.map(|messages| watched(messages, open, self.config.limits.stream_idle)))
    }
}

/// What a request names that is about all tenants.
static EVERY_TENANT: String = String::new();

struct PartitionAdmin {
    store: Store,
    migration: Migration,
    gate: Gate,
    stream_idle: Duration,
    shutdown: CancellationToken,
}

impl PartitionAdmin {
    /// Checks that the caller may administer the tenant, or all of them where it names none. **Invariant:** every call begins
    /// with it.
    fn let_in<'a, T>(
        &self,
        request: &'a Request<T>,
        tenant_id: impl FnOnce(&'a T) -> &'a String,
    ) -> Result<(), Status> {
        let passed = self.gate.admin(request.extensions(), tenant_id(request.get_ref()));
        passed.map_err(|denied| deny(&denied))
    }

    /// The answer, which ends when its client takes nothing of it.
    fn watch<T: Send + 'static>(&self, answer: Response<Messages<T>>) -> Response<Messages<T>> {
        answer.map(|messages| watched(messages, Pass::default(), self.stream_idle))
    }
}

#[tonic::async_trait]
impl PartitionAdminService for PartitionAdmin {
    type MaintainPartitionsStream = Messages<MaintainPartitionsResponse>;

    async fn maintain_partitions(
        &self,
        request: Request<MaintainPartitionsRequest>,
    ) -> Result<Response<Messages<MaintainPartitionsResponse>>, Status> {
        self.let_in(&request, |message| &message.tenant_id)?;
        let answer = maintain_partitions(&self.store, &self.shutdown, request).await?;
        Ok(self.watch(answer))
    }

    async fn list_partitions(
        &self,
        request: Request<ListPartitionsRequest>,
    ) -> Result<Response<ListPartitionsResponse>, Status> {
        self.let_in(&request, |message| &message.tenant_id)?;
        // A token leads to a tenant as well.
        if let Some(tenant) = page_token::tenant(&request.get_ref().page_token) {
            self.let_in(&request, |_| &tenant)?;
        }
        list_partitions(&self.store, request).await
    }

    async fn restore_partition(
        &self,
        request: Request<RestorePartitionRequest>,
    ) -> Result<Response<RestorePartitionResponse>, Status> {
        self.let_in(&request, |message| &message.tenant_id)?;
        restore_partition(&self.store, request).await
    }

    type CheckPartitionsStream = Messages<CheckPartitionsResponse>;

    async fn check_partitions(
        &self,
        request: Request<CheckPartitionsRequest>,
    ) -> Result<Response<Messages<CheckPartitionsResponse>>, Status> {
        self.let_in(&request, |message| &message.tenant_id)?;
        let answer = check_partitions(&self.store, request).await?;
        Ok(self.watch(answer))
    }

    async fn set_retention(
        &self,
        request: Request<SetRetentionRequest>,
    ) -> Result<Response<SetRetentionResponse>, Status> {
        self.let_in(&request, |message| &message.tenant_id)?;
        set_retention(&self.store, request).await
    }

    async fn set_legal_hold(
        &self,
        request: Request<SetLegalHoldRequest>,
    ) -> Result<Response<SetLegalHoldResponse>, Status> {
        self.let_in(&request, |message| &message.tenant_id)?;
        set_legal_hold(&self.store, request).await
    }

    type PurgeLegacyStream = Messages<PurgeLegacyResponse>;

    async fn purge_legacy(
        &self,
        request: Request<PurgeLegacyRequest>,
    ) -> Result<Response<Messages<PurgeLegacyResponse>>, Status> {
        self.let_in(&request, |message| &message.tenant_id)?;
        let answer = purge_legacy(&self.store, &self.shutdown, request).await?;
        Ok(self.watch(answer))
    }

    type VerifyChainStream = Messages<VerifyChainResponse>;

    async fn verify_chain(
        &self,
        request: Request<VerifyChainRequest>,
    ) -> Result<Response<Messages<VerifyChainResponse>>, Status> {
        self.let_in(&request, |message| &message.tenant_id)?;
        let answer = verify_chain(&self.store, &self.shutdown, request).await?;
        Ok(self.watch(answer))
    }

    async fn get_migration_status(
        &self,
        request: Request<GetMigrationStatusRequest>,
    ) -> Result<Response<GetMigrationStatusResponse>, Status> {
        self.let_in(&request, |_| &EVERY_TENANT)?;
        migration::get_migration_status(&self.migration).await
    }

    type PlanMigrationStream = Messages<PlanMigrationResponse>;

    async fn plan_migration(
        &self,
        request: Request<PlanMigrationRequest>,
    ) -> Result<Response<Messages<PlanMigrationResponse>>, Status> {
        self.let_in(&request, |message| &message.tenant_id)?;
        let answer = migration::plan_migration(&self.migration, request).await?;
        Ok(self.watch(answer))
    }

    async fn control_backfill(
        &self,
        request: Request<ControlBackfillRequest>,
    ) -> Result<Response<ControlBackfillResponse>, Status> {
        self.let_in(&request, |_| &EVERY_TENANT)?;
        migration::control_backfill(&self.migration, request).await
    }

    type VerifyMigrationStream = Messages<VerifyMigrationResponse>;

    async fn verify_migration(
        &self,
        request: Request<VerifyMigrationRequest>,
    ) -> Result<Response<Messages<VerifyMigrationResponse>>, Status> {
        self.let_in(&request, |message| &message.tenant_id)?;
        let answer = migration::verify_migration(&self.migration, &self.shutdown, request).await?;
        Ok(self.watch(answer))
    }

    async fn list_mismatches(
        &self,
        request: Request<ListMismatchesRequest>,
    ) -> Result<Response<ListMismatchesResponse>, Status> {
        self.let_in(&request, |message| &message.tenant_id)?;
        migration::list_mismatches(&self.migration, request).await
    }

    async fn repair_mismatches(
        &self,
        request: Request<RepairMismatchesRequest>,
    ) -> Result<Response<RepairMismatchesResponse>, Status> {
        self.let_in(&request, |message| &message.tenant_id)?;
        migration::repair_mismatches(&self.migration, request).await
    }

    async fn accept_quarantined(
        &self,
        request: Request<AcceptQuarantinedRequest>,
    ) -> Result<Response<AcceptQuarantinedResponse>, Status> {
        self.let_in(&request, |message| &message.tenant_id)?;
        migration::accept_quarantined(&self.migration, request).await
    }

    type ChangePhaseStream = Messages<ChangePhaseResponse>;

    async fn change_phase(
        &self,
        request: Request<ChangePhaseRequest>,
    ) -> Result<Response<Messages<ChangePhaseResponse>>, Status> {
        self.let_in(&request, |_| &EVERY_TENANT)?;
        let answer = migration::change_phase(&self.migration, &self.shutdown, request).await?;
        Ok(self.watch(answer))
    }
}
