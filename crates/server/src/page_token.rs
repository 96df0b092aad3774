use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use partita_model::{TenantId, Timestamp};
use partita_store::PageKey;

/// First byte of every token: its layout.
const LAYOUT: u8 = 2;
/// In place of the seconds of a row that has no first instant.
const UNBOUNDED: i64 = i64::MIN;

/// A token for the page after `last`, good for the same filter alone.
///
/// Opaque to clients: base64url over the layout, the instant of the last row (8 bytes of seconds, 4 of
/// nanoseconds), its tenant with its length in 2 bytes, its name likewise, and the filter.
pub(crate) fn encode(filter: &str, last: &PageKey) -> String {
    let (seconds, nanos) = last.range_start.map_or((UNBOUNDED, 0), |start| start.to_unix());
    let mut bytes = vec![LAYOUT];
    bytes.extend(seconds.to_be_bytes());
    bytes.extend(nanos.to_be_bytes());
    // A tenant has 255 characters of 4 bytes at most, so that its length always fits.
    bytes.extend(u16::try_from(last.tenant_id.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend(last.tenant_id.as_bytes());
    bytes.extend(u16::try_from(last.partition_name.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend(last.partition_name.as_bytes());
    bytes.extend(filter.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The place that a token names.
///
/// # Errors
/// When the token is none of ours, or was handed out for another filter. A token is no secret and no permission:
/// what it leads to is checked like the request that it comes with.
pub(crate) fn decode(filter: &str, token: &str) -> Result<PageKey, String> {
    let key = parse(filter, token).filter(|key| filter.is_empty() || filter == key.tenant_id);
    key.ok_or_else(|| {
        "is not one that this list handed out for the same tenant_id: begin again without a token".to_owned()
    })
}

/// The tenant that a token leads to, whatever filter it was handed out for; none where it is no token.
pub(crate) fn tenant(token: &str) -> Option<String> {
    let (_, key) = read(token)?;
    Some(key.tenant_id)
}

fn parse(filter: &str, token: &str) -> Option<PageKey> {
    let (of, key) = read(token)?;
    (of == filter.as_bytes()).then_some(key)
}

/// The filter and the place of a token.
fn read(token: &str) -> Option<(Vec<u8>, PageKey)> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (&layout, rest) = bytes.split_first()?;
    let (&seconds, rest) = rest.split_first_chunk()?;
    let (&nanos, rest) = rest.split_first_chunk()?;
    let (&tenant_bytes, rest) = rest.split_first_chunk()?;
    let (tenant, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(tenant_bytes)))?;
    let (&name_bytes, rest) = rest.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(name_bytes)))?;
    if layout != LAYOUT {
        return None;
    }
    let tenant = TenantId::parse(String::from_utf8(tenant.to_vec()).ok()?).ok()?;
    let range_start = match i64::from_be_bytes(seconds) {
        UNBOUNDED => None,
        seconds => Some(Timestamp::from_unix(seconds, i32::from_be_bytes(nanos)).ok()?),
    };
    let partition_name = String::from_utf8(name.to_vec()).ok()?;
    // No name holds it, and PostgreSQL cannot be sent it.
    let partition_name = Some(partition_name).filter(|name| !name.contains('\0'))?;
    let key = PageKey { tenant_id: tenant.as_str().to_owned(), range_start, partition_name };
    Some((rest.to_vec(), key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(tenant: &str) -> PageKey {
        let range_start = Timestamp::parse_rfc3339("2026-11-01T00:00:00Z").ok();
        PageKey { tenant_id: tenant.to_owned(), range_start, partition_name: "t1_2026_11".to_owned() }
    }

    #[test]
    fn a_token_leads_back_to_its_place() {
        for (filter, tenant) in [("", "acme"), ("acme", "acme"), ("", "\u{1f3ba}'\"")] {
            let place = decode(filter, &encode(filter, &key(tenant))).unwrap();
            assert_eq!((place.tenant_id.as_str(), place.range_start), (tenant, key(tenant).range_start));
            let unbounded = PageKey { range_start: None, ..key(tenant) };
            assert_eq!(decode(filter, &encode(filter, &unbounded)).unwrap(), unbounded);
        }
    }

    #[test]
    fn a_token_of_another_filter_is_refused() {
        let token = encode("acme", &key("acme"));
        assert!(decode("", &token).is_err() && decode("other", &token).is_err());
        // One that was forged to lead out of its filter as well.
        assert!(decode("acme", &encode("acme", &key("other"))).is_err());
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = encode("", &key("acme"));
        for bad in ["", "!", "AQ", &good[1..], &good[..good.len() - 4], &format!("{good}AA")] {
            assert!(decode("", bad).is_err(), "{bad}");
        }
    }
}
