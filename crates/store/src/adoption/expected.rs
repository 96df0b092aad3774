/// A column that every legacy table must have.
pub(super) struct Expected {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Whether a row without a value cannot be copied.
    pub(super) is_needed: bool,
    /// What rows that are there get when the column is added: a constant, so that no row is rewritten. None where a value
    /// cannot be made up.
    pub(super) filler: Option<&'static str>,
}

/// What a column must be for the statements of appends and reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `uuid`
    Uuid,
    /// `varchar` or `text`, of which Partita writes up to so many characters.
    Text(i32),
    /// `text` without a bound.
    Unbounded,
    /// `integer`
    Integer,
    /// `jsonb`
    Jsonb,
    /// `inet`
    Inet,
    /// `timestamptz`
    Instant,
}

impl Kind {
    /// PostgreSQL's type, as one would declare it.
    pub(super) fn declaration(self) -> String {
        match self {
            Self::Uuid => "uuid".to_owned(),
            Self::Text(chars) => format!("varchar({chars})"),
            Self::Unbounded => "text".to_owned(),
            Self::Integer => "integer".to_owned(),
            Self::Jsonb => "jsonb".to_owned(),
            Self::Inet => "inet".to_owned(),
            Self::Instant => "timestamptz".to_owned(),
        }
    }

    /// Whether a type of the catalogue will do.
    pub(super) fn accepts(self, type_name: &str) -> bool {
        match self {
            Self::Uuid => type_name == "uuid",
            Self::Text(_) | Self::Unbounded => matches!(type_name, "varchar" | "text"),
            Self::Integer => type_name == "int4",
            Self::Jsonb => type_name == "jsonb",
            Self::Inet => type_name == "inet",
            Self::Instant => type_name == "timestamptz",
        }
    }
}

const fn needed(name: &'static str, kind: Kind, filler: Option<&'static str>) -> Expected {
    Expected { name, kind, is_needed: true, filler }
}

const fn optional(name: &'static str, kind: Kind) -> Expected {
    Expected { name, kind, is_needed: false, filler: None }
}

/// The columns, as a fresh legacy table has them (migration 1).
pub(super) const EXPECTED: [Expected; 22] = [
    needed("event_id", Kind::Uuid, None),
    needed("event_type", Kind::Text(100), None),
    needed("aggregate_type", Kind::Text(100), None),
    needed("aggregate_id", Kind::Text(255), None),
    needed("aggregate_version", Kind::Integer, None),
    needed("event_data", Kind::Jsonb, None),
    optional("event_metadata", Kind::Jsonb),
    needed("tenant_id", Kind::Text(255), Some("'main'")),
    needed("user_id", Kind::Text(255), Some("'unknown'")),
    optional("correlation_id", Kind::Text(255)),
    optional("causation_id", Kind::Uuid),
    optional("legal_basis", Kind::Text(50)),
    optional("data_classification", Kind::Text(50)),
    optional("retention_policy", Kind::Text(100)),
    optional("ip_address", Kind::Inet),
    optional("user_agent", Kind::Unbounded),
    optional("session_id", Kind::Text(255)),
    optional("request_id", Kind::Text(255)),
    needed("event_hash", Kind::Text(64), Some("''")),
    optional("previous_event_hash", Kind::Text(64)),
    needed("event_timestamp", Kind::Instant, None),
    needed("created_at", Kind::Instant, Some("now()")),
];
