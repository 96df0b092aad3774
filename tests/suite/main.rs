//! Partita over gRPC and a real PostgreSQL. Every test is a claim; every file is named after a topic or a trouble.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by them; clippy sees that in test functions only, not in what they share"
)]

mod adopted_legacy;
mod append;
mod append_pipeline;
mod append_result;
mod append_streams;
mod backfill;
mod backfill_killed;
mod backfill_leases;
mod backfill_odd_rows;
mod backfill_paging;
mod backfill_watched;
mod background_maintenance;
mod commit_in_doubt;
mod concurrency;
mod connections;
mod database_restart;
mod deadlines;
mod doctor;
mod dropped_calls;
mod dual_write;
mod expired;
mod fence;
mod finalized;
mod flag;
mod foreign_writer;
mod grace_period;
mod health;
mod idempotency;
mod identity;
mod instances;
mod interrupted_maintenance;
mod long_snapshots;
mod maintenance;
mod metrics;
mod migration_calls;
mod migration_doctor;
mod migration_moves;
mod migrations;
mod months;
mod mutual_tls;
mod new_partitions;
mod overlarge;
mod overload;
mod partition_check;
mod partition_list;
mod partition_locks;
mod partition_sql;
mod phase_changes;
mod poisoned_append;
mod probes;
mod purge_legacy;
mod read;
mod refused_input;
mod refused_start;
mod retention;
mod roles;
mod rolling_restart;
mod row_security;
mod same_append_many_times;
mod shadow;
mod slow_readers;
mod tampering;
mod tenant_limit;
mod tenant_rate;
mod tenants;
mod trace_context;
mod two_servers;
mod verify_chain;
mod verify_tables;
mod version_conflict;
mod way_back;
