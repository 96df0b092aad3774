use std::collections::HashMap;
use std::sync::OnceLock;

use prost::Message as _;
use prost_types::FileDescriptorSet;

/// The label of calls that do not exist. Their names come from clients, and must not become labels.
const OTHER: &str = "_OTHER";

/// The method of a path (`partita.v1.EventStoreService/Append`), as a label.
pub(super) fn label(path: &str) -> &'static str {
    static KNOWN: OnceLock<HashMap<String, &'static str>> = OnceLock::new();
    let name = path.strip_prefix('/').unwrap_or(path);
    KNOWN.get_or_init(known).get(name).copied().unwrap_or(OTHER)
}

/// Every method that this process serves, from the descriptions that are built into it.
fn known() -> HashMap<String, &'static str> {
    let sets = [
        partita_proto::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let mut known = HashMap::new();
    // The same bytes are decoded for reflection before anything is served.
    for file in sets.iter().filter_map(|set| FileDescriptorSet::decode(*set).ok()).flat_map(|set| set.file) {
        for service in &file.service {
            for method in &service.method {
                let name = format!("{}.{}/{}", file.package(), service.name(), method.name());
                known.insert(name.clone(), &*name.leak());
            }
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_methods_have_their_names_and_all_others_share_one() {
        for path in ["/partita.v1.EventStoreService/Append", "/grpc.health.v1.Health/Check"] {
            assert_eq!(label(path), &path[1..]);
        }
        for path in ["/partita.v1.EventStoreService/append", "/x", "", "/partita.v1.Nothing/Append"] {
            assert_eq!(label(path), OTHER);
        }
    }
}
