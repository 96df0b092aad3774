//! The gRPC contract of Partita, generated from `proto/` when this crate is built.
//!
//! The `.proto` files are the reference: units, bounds, defaults and errors stand there with every element, and the
//! generated items carry the same comments. [`convert`] turns its messages into the words of `partita-model` and back.

pub mod convert;

/// Package `partita.v1`: messages, clients (`event_store_service_client`) and servers
/// (`event_store_service_server`), and likewise for the partition admin service.
#[allow(
    missing_docs,
    unreachable_pub,
    rustdoc::all,
    clippy::all,
    clippy::pedantic,
    clippy::wildcard_enum_match_arm,
    reason = "generated code: its shape is the generator's"
)]
pub mod v1 {
    tonic::include_proto!("partita.v1");
}

/// The contract as an encoded `google.protobuf.FileDescriptorSet`, with its imports and comments: what gRPC
/// reflection serves.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("partita_descriptor_set");
