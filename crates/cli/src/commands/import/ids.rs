use std::collections::HashMap;

use uuid::Uuid;

use crate::commands::import::line::StreamKey;

/// The namespace of all derived ids. It must never change: a file imported again would be recorded twice.
const NAMESPACE: Uuid = Uuid::from_u128(0x8d5a_0d0e_52c5_4f0c_9c56_2f6f_3b1a_7e11);

/// Gives ids to lines that have none: the same line of the same file gets the same id in every run.
///
/// The id is a UUIDv5 of tenant, stream, the line's text without the white space around it, and how many times the
/// very same line came before. Twice the same line are two events, and a file to which lines were added at the end
/// keeps the ids of the earlier ones. It holds some 40 bytes for each different line without an id.
#[derive(Debug, Default)]
pub(super) struct IdSource {
    seen: HashMap<Uuid, u32>,
}

impl IdSource {
    /// The id of the next line with this text.
    pub(super) fn derive(&mut self, stream: &StreamKey, text: &str) -> Uuid {
        let mut name = Vec::with_capacity(text.len() + 128);
        // Lengths stand before the parts, so that no two different lists of parts make the same name.
        for part in [&stream.tenant_id, &stream.aggregate_type, &stream.aggregate_id, text] {
            name.extend_from_slice(&(part.len() as u64).to_be_bytes());
            name.extend_from_slice(part.as_bytes());
        }
        let count = self.seen.entry(Uuid::new_v5(&NAMESPACE, &name)).or_default();
        name.extend_from_slice(&count.to_be_bytes());
        *count += 1;
        Uuid::new_v5(&NAMESPACE, &name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(tenant_id: &str, aggregate_type: &str) -> StreamKey {
        let (tenant_id, aggregate_type) = (tenant_id.to_owned(), aggregate_type.to_owned());
        StreamKey { tenant_id, aggregate_type, aggregate_id: "1".to_owned() }
    }

    #[test]
    fn ids_are_the_same_in_every_run_and_differ_for_repeated_lines() {
        let run = || {
            let mut ids = IdSource::default();
            [("t", "order"), ("t", "order"), ("to", "rder"), ("t", "order")]
                .map(|(tenant, kind)| ids.derive(&stream(tenant, kind), "{}"))
        };
        let ids = run();
        assert_eq!(ids, run());
        let different: std::collections::HashSet<_> = ids.into_iter().collect();
        assert_eq!(different.len(), 4);
        assert_eq!(ids[0].to_string(), "d733c6ef-fb9d-5f56-94ab-607eea2890e2");
    }
}
