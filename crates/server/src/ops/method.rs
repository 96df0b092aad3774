use std::collections::HashMap;
use std::sync::OnceLock;

use prost::Message as _;
use prost_types::FileDescriptorSet;

/// The label of calls that do not exist. Their names come from clients, and must not become labels.
const OTHER: &str = "_OTHER";

/// What is known of a method.
struct Method {
    label: &'static str,
    sends_many: bool,
}

/// Whether the client of a method sends any number of messages.
pub(crate) fn sends_many(path: &str) -> bool {
    find(path).is_some_and(|method| method.sends_many)
}

/// The method of a path (`partita.v1.EventStoreService/Append`), as a label.
pub(crate) fn label(path: &str) -> &'static str {
    find(path).map_or(OTHER, |method| method.label)
}

fn find(path: &str) -> Option<&'static Method> {
    static KNOWN: OnceLock<HashMap<String, Method>> = OnceLock::new();
    KNOWN.get_or_init(known).get(path.strip_prefix('/').unwrap_or(path))
}

/// Every method that this process serves, from the descriptions that are built into it.
fn known() -> HashMap<String, Method> {
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
                let sends_many = method.client_streaming();
                known.insert(name.clone(), Method { label: &*name.leak(), sends_many });
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
