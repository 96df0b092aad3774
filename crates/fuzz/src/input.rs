use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::prop_oneof;

/// Most changes that are made to an input.
const CHANGES_MAX: usize = 8;
/// Longest input that is made from nothing, in bytes.
const RAW_BYTES_MAX: usize = 96;
/// Longest input that repetition makes, in bytes.
const BYTES_MAX: usize = 64 * 1024;

/// What parsers of all kinds have tripped over.
const TOKENS: [&[u8]; 42] = [
    b"\0",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00",
    b"\xff",
    b"\xc3",
    b"\xe2\x82\xac",
    b"\xf0\x9f\x98\x80",
    b"\xef\xbb\xbf",
    b"\"",
    b"'",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b".",
    b"=",
    b"\n",
    b"\r\n",
    b"\t",
    b" ",
    b"-",
    b"_",
    b"__",
    b"#",
    b"null",
    b"true",
    b"NaN",
    b"1e999999999999",
    b"-1e-999999",
    b"-0.0",
    b"9223372036854775808",
    b"-2147483649",
    b"0.0000001",
    b"9999-12-31T23:59:60Z",
    b"-00:00",
    b"+24:60",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"%",
];

/// A change to an input. Places are taken modulo its length.
#[derive(Debug, Clone)]
enum Change {
    Flip {
        at: u16,
        bit: u8,
    },
    Insert {
        at: u16,
        token: usize,
    },
    Replace {
        at: u16,
        byte: u8,
    },
    Remove {
        at: u16,
        count: u8,
    },
    Repeat {
        at: u16,
        count: u8,
        times: u16,
    },
    Cut {
        at: u16,
    },
    /// The rest is that of another input.
    Join {
        at: u16,
        other: usize,
        from: u16,
    },
}

/// Inputs that are made from these, or from nothing.
pub(crate) fn inputs(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changed = (any::<usize>(), vec(change(), 1..=CHANGES_MAX)).prop_map(move |(seed, changes)| {
        let seed = &seeds[seed % seeds.len()];
        changes.iter().fold(seed.clone(), |input, change| change.apply(input, &seeds))
    });
    prop_oneof![9 => changed, 1 => vec(any::<u8>(), 0..RAW_BYTES_MAX)]
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<u16>();
    prop_oneof![
        (at, 0..8_u8).prop_map(|(at, bit)| Change::Flip { at, bit }),
        (at, 0..TOKENS.len()).prop_map(|(at, token)| Change::Insert { at, token }),
        (at, any::<u8>()).prop_map(|(at, byte)| Change::Replace { at, byte }),
        (at, 1..20_u8).prop_map(|(at, count)| Change::Remove { at, count }),
        (at, 1..20_u8, 1..2_000_u16).prop_map(|(at, count, times)| Change::Repeat { at, count, times }),
        at.prop_map(|at| Change::Cut { at }),
        (at, any::<usize>(), any::<u16>()).prop_map(|(at, other, from)| Change::Join { at, other, from }),
    ]
}

impl Change {
    fn apply(&self, mut input: Vec<u8>, seeds: &[Vec<u8>]) -> Vec<u8> {
        let place = |at: u16, length: usize| usize::from(at) % (length + 1);
        let length = input.len();
        match *self {
            Self::Flip { at, bit } => {
                if let Some(byte) = input.get_mut(place(at, length)) {
                    *byte ^= 1 << bit;
                }
            }
            Self::Insert { at, token } => {
                let at = place(at, length);
                input.splice(at..at, TOKENS[token].iter().copied());
            }
            Self::Replace { at, byte } => {
                if let Some(place) = input.get_mut(place(at, length)) {
                    *place = byte;
                }
            }
            Self::Remove { at, count } => {
                let at = place(at, length);
                input.drain(at..length.min(at + usize::from(count)));
            }
            Self::Repeat { at, count, times } => {
                let at = place(at, length);
                let end = length.min(at + usize::from(count));
                let room = BYTES_MAX.saturating_sub(length) / (end - at).max(1);
                let repeated = input[at..end].repeat(usize::from(times).min(room));
                input.splice(at..at, repeated);
            }
            Self::Cut { at } => input.truncate(place(at, length)),
            Self::Join { at, other, from } => {
                let other = &seeds[other % seeds.len()];
                input.truncate(place(at, length));
                input.extend(&other[place(from, other.len())..]);
            }
        }
        input
    }
}
