//! Lines that nobody means well with: an event within every rule, or everything that is wrong in words.

use partita_fuzz::Fuzz;
use partita_model::{Append, AppendDraft};
use partita_proto::v1;
use partita_proto::v1::expected_version::{Any, Expected};

use super::ids::IdSource;
use super::line::{ImportEvent, LineDefaults};

const LINES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/import_line");

#[test]
fn a_line_that_is_taken_is_an_append_that_the_service_takes() {
    let defaults = LineDefaults { user_id: "import".to_owned() };
    Fuzz::new(LINES).text(|text| match ImportEvent::parse(7, text, &defaults, &mut IdSource::default()) {
        Ok(event) => {
            let request = v1::AppendRequest {
                tenant_id: event.stream.tenant_id.clone(),
                aggregate_type: event.stream.aggregate_type.clone(),
                aggregate_id: event.stream.aggregate_id.clone(),
                expected_version: Some(v1::ExpectedVersion { expected: Some(Expected::Any(Any {})) }),
                events: vec![event.event],
                context: Some(event.context),
            };
            if let Err(violations) = Append::parse(AppendDraft::from(request)) {
                panic!("{text:?}: {violations}");
            }
        }
        Err(reason) => assert!(!reason.is_empty()),
    });
}
