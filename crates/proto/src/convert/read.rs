use partita_model::{Direction, ReadDraft, ReadStream, StreamState, Violations};

use super::timestamp_from_wire;
use crate::v1;

impl TryFrom<v1::ReadStreamRequest> for ReadStream {
    type Error = Violations;

    fn try_from(request: v1::ReadStreamRequest) -> Result<Self, Violations> {
        let direction = parse_direction(request.direction);
        let parsed = Self::parse(ReadDraft {
            tenant_id: request.tenant_id,
            aggregate_type: request.aggregate_type,
            aggregate_id: request.aggregate_id,
            from_version: request.from_version,
            direction: *direction.as_ref().unwrap_or(&Direction::Forwards),
            max_count: request.max_count,
            from_timestamp: request.from_timestamp.map(timestamp_from_wire),
            to_timestamp: request.to_timestamp.map(timestamp_from_wire),
        });
        // A model's direction cannot be wrong, so that what was wrong with it is added to the model's findings.
        match (direction, parsed) {
            (Ok(_), parsed) => parsed,
            (Err(description), Ok(_)) => Err(Violations::one("direction", description)),
            (Err(description), Err(mut violations)) => {
                violations.push("direction", description);
                Err(violations)
            }
        }
    }
}

fn parse_direction(sent: i32) -> Result<Direction, String> {
    match v1::Direction::try_from(sent) {
        Ok(v1::Direction::Unspecified | v1::Direction::Forwards) => Ok(Direction::Forwards),
        Ok(v1::Direction::Backwards) => Ok(Direction::Backwards),
        Err(_) => Err(format!("has the unknown value {sent}: give 1 (forwards) or 2 (backwards)")),
    }
}

impl From<StreamState> for v1::StreamState {
    fn from(state: StreamState) -> Self {
        Self { version: state.version.get(), first_version: state.first_version.get() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(direction: i32) -> v1::ReadStreamRequest {
        v1::ReadStreamRequest {
            tenant_id: "acme".to_owned(),
            aggregate_type: "order".to_owned(),
            aggregate_id: "42".to_owned(),
            direction,
            ..v1::ReadStreamRequest::default()
        }
    }

    fn refused_fields(request: v1::ReadStreamRequest) -> Vec<String> {
        let violations = ReadStream::try_from(request).unwrap_err();
        violations.iter().map(|violation| violation.field.clone()).collect()
    }

    #[test]
    fn a_read_goes_forwards_unless_it_says_otherwise() {
        assert_eq!(ReadStream::try_from(request(0)).unwrap().direction, Direction::Forwards);
        assert_eq!(ReadStream::try_from(request(2)).unwrap().direction, Direction::Backwards);
    }

    #[test]
    fn an_unknown_direction_is_named_beside_everything_else() {
        assert_eq!(refused_fields(request(3)), ["direction"]);
        let wrong = v1::ReadStreamRequest { tenant_id: String::new(), max_count: -1, ..request(-1) };
        assert_eq!(refused_fields(wrong), ["tenant_id", "max_count", "direction"]);
    }
}
