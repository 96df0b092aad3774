use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// First byte of every token: its layout.
const LAYOUT: u8 = 1;

/// Where a list goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the differences, behind a number.
    Mismatches(i64),
    /// In the rows in quarantine, behind a number.
    Quarantine(i64),
}

/// A token for the page that begins at a place, good for the same filter alone.
///
/// Opaque to clients: base64url over the layout, the list in a byte, the number in 8, and the filter.
pub(super) fn encode(filter: &str, place: Place) -> String {
    let (list, number) = match place {
        Place::Mismatches(number) => (0, number),
        Place::Quarantine(number) => (1, number),
    };
    let mut bytes = vec![LAYOUT, list];
    bytes.extend(number.to_be_bytes());
    bytes.extend(filter.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The place that a token names.
///
/// # Errors
/// When the token is none of ours, or was handed out for another filter.
pub(super) fn decode(filter: &str, token: &str) -> Result<Place, String> {
    parse(filter, token).ok_or_else(|| {
        "is not one that this list handed out for the same tenant_id: begin again without a token".to_owned()
    })
}

fn parse(filter: &str, token: &str) -> Option<Place> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (&[layout, list], rest) = bytes.split_first_chunk()?;
    let (&number, rest) = rest.split_first_chunk()?;
    if layout != LAYOUT || rest != filter.as_bytes() {
        return None;
    }
    let number = i64::from_be_bytes(number);
    match list {
        0 => Some(Place::Mismatches(number)),
        1 => Some(Place::Quarantine(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_place_for_its_filter_alone() {
        for place in [Place::Mismatches(7), Place::Quarantine(i64::MAX)] {
            for filter in ["", "acme", "\u{1f3ba}'"] {
                let token = encode(filter, place);
                assert_eq!(decode(filter, &token), Ok(place));
                assert!(decode("other", &token).is_err());
            }
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = encode("", Place::Mismatches(1));
        for bad in ["", "!", "AQ", &good[1..], &good[..good.len() - 4], &format!("{good}AA")] {
            assert!(decode("", bad).is_err(), "{bad}");
        }
    }
}
