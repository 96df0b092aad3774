//! What may be done, as small numbers that mean something only where it is done: so a case shrinks, and stays a case.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::{option, prop_oneof};

/// Tenants of a case.
pub(crate) const TENANTS: [&str; 2] = ["acme", "o'hara \"& söhne\""];
/// Streams of a tenant.
pub(crate) const STREAMS: [&str; 3] = ["1", "2", "ü-%_"];
/// The oldest month that events are dated into, counted from the present one.
pub(crate) const OLDEST_MONTH: i32 = -4;
/// Most operations of a case.
const OPERATIONS_MAX: usize = 40;
/// Most operations of each part of a case that goes to `finalized` and back: before, there, and afterwards.
const PART_OPERATIONS_MAX: usize = 14;
/// Events of an append that takes more than one page to be read.
const MANY: usize = 135;

/// Which service process is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    /// With the flag; what expires goes at once.
    First,
    /// With the flag; what expires may be restored.
    Second,
    /// Without the flag.
    FlagOff,
}

/// When an event happened.
#[derive(Debug, Clone, Copy)]
pub(crate) enum When {
    /// The caller does not say.
    Unsaid,
    /// In the month that lies so many months from the present one, on so many days after its first.
    In { month: i32, day: i64 },
}

/// Where a stream must stand.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expect {
    Any,
    New,
    Exists,
    /// Where it stands, or off by so much.
    At(i32),
}

#[derive(Debug, Clone)]
pub(crate) struct NewEvent {
    pub(crate) with_id: bool,
    pub(crate) when: When,
    pub(crate) metadata: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) stream: usize,
    pub(crate) expect: Expect,
    pub(crate) events: Vec<NewEvent>,
}

/// How a repetition differs from what was sent first.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Difference {
    None,
    /// The data of its first event.
    Data,
    /// It has its first event alone.
    Shorter,
    /// Its events have no times, and go wherever the streams stand.
    Undated,
    /// It is another stream's.
    Stream,
}

#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Append {
        process: Process,
        tenant: usize,
        parts: Vec<Part>,
    },
    Repeat {
        process: Process,
        which: usize,
        difference: Difference,
    },
    Read {
        process: Process,
        tenant: usize,
        stream: usize,
        backwards: bool,
        from: i32,
        most: i64,
        between: Option<(When, i64)>,
    },
    Find {
        process: Process,
        tenant: usize,
        which: Vec<usize>,
    },
    Foreign {
        tenant: usize,
        stream: usize,
        month: i32,
        day: i64,
    },
    Expire {
        process: Process,
        tenant: usize,
        months: u32,
    },
    /// Of the months that wait to be restored, where there are any.
    Restore {
        tenant: usize,
        month: i32,
    },
    List {
        page_size: i32,
    },
    Backfill,
    Verify,
    /// To the next phase, or back where there is a way.
    Move {
        back: bool,
    },
}

/// Most of the time whatever comes; else there and back, which comes by itself too seldom.
pub(crate) fn operations() -> impl Strategy<Value = Vec<Operation>> {
    prop_oneof![
        2 => vec(operation(), 1..=OPERATIONS_MAX),
        1 => there_and_back(),
    ]
}

/// Over the fence to `finalized`, and back to `open`.
fn there_and_back() -> impl Strategy<Value = Vec<Operation>> {
    let is_no_move = |operation: &Operation| !matches!(operation, Operation::Move { .. });
    let part = move || vec(operation().prop_filter("the phase stays", is_no_move), 0..=PART_OPERATIONS_MAX);
    let moves = [Operation::Move { back: false }, Operation::Move { back: false }];
    (part(), part(), part())
        .prop_map(move |parts| [parts.0.as_slice(), &moves, &parts.1, &moves, &parts.2].concat())
}

fn operation() -> impl Strategy<Value = Operation> {
    let tenant = 0..TENANTS.len();
    let stream = 0..STREAMS.len();
    let month = OLDEST_MONTH..=0;
    let day = 0..5_i64;
    prop_oneof![
        9 => (process(), tenant.clone(), parts())
            .prop_map(|(process, tenant, parts)| Operation::Append { process, tenant, parts }),
        3 => (process(), any::<u8>(), difference()).prop_map(|(process, which, difference)| {
            Operation::Repeat { process, which: usize::from(which), difference }
        }),
        6 => read(),
        2 => (process(), tenant.clone(), vec(any::<u8>().prop_map(usize::from), 1..5))
            .prop_map(|(process, tenant, which)| Operation::Find { process, tenant, which }),
        3 => (tenant.clone(), stream, month.clone(), day)
            .prop_map(|(tenant, stream, month, day)| Operation::Foreign { tenant, stream, month, day }),
        2 => (prop_oneof![Just(Process::First), Just(Process::Second)], tenant.clone(), 1..=4_u32)
            .prop_map(|(process, tenant, months)| Operation::Expire { process, tenant, months }),
        1 => (tenant, month).prop_map(|(tenant, month)| Operation::Restore { tenant, month }),
        1 => (1..7).prop_map(|page_size| Operation::List { page_size }),
        2 => Just(Operation::Backfill),
        1 => Just(Operation::Verify),
        4 => proptest::bool::weighted(0.2).prop_map(|back| Operation::Move { back }),
    ]
}

fn read() -> impl Strategy<Value = Operation> {
    let process = process();
    let version = prop_oneof![2 => Just(0), 3 => 1..8, 1 => 100..150];
    let most = prop_oneof![2 => Just(0), 2 => 1..5_i64, 1 => 120..140_i64];
    let between = option::weighted(0.4, (when(), 1..100_i64));
    (process, 0..TENANTS.len(), 0..STREAMS.len(), any::<bool>(), version, most, between).prop_map(
        |(process, tenant, stream, backwards, from, most, between)| Operation::Read {
            process,
            tenant,
            stream,
            backwards,
            from,
            most,
            between,
        },
    )
}

fn process() -> impl Strategy<Value = Process> {
    prop_oneof![4 => Just(Process::First), 3 => Just(Process::Second), 2 => Just(Process::FlagOff)]
}

fn when() -> impl Strategy<Value = When> + Clone {
    prop_oneof![
        1 => Just(When::Unsaid),
        2 => (OLDEST_MONTH..=0, 0..5_i64).prop_map(|(month, day)| When::In { month, day }),
    ]
}

fn difference() -> impl Strategy<Value = Difference> {
    prop_oneof![
        4 => Just(Difference::None),
        1 => Just(Difference::Data),
        1 => Just(Difference::Shorter),
        2 => Just(Difference::Undated),
        1 => Just(Difference::Stream),
    ]
}

/// What goes to which streams, no stream twice.
fn parts() -> impl Strategy<Value = Vec<Part>> {
    let expect = prop_oneof![
        3 => Just(Expect::Any),
        1 => Just(Expect::New),
        1 => Just(Expect::Exists),
        6 => Just(Expect::At(0)),
        1 => (-2..=2).prop_map(Expect::At),
    ];
    let event = (proptest::bool::weighted(0.7), when(), any::<bool>())
        .prop_map(|(with_id, when, metadata)| NewEvent { with_id, when, metadata });
    let events = prop_oneof![
        19 => vec(event.clone(), 1..4),
        1 => event.prop_map(|event| vec![event; MANY]),
    ];
    let streams = proptest::sample::subsequence(vec![0, 1, 2], 1..=2).prop_shuffle();
    (streams, vec((expect, events), 2)).prop_map(|(streams, parts)| {
        let parts = streams.into_iter().zip(parts);
        parts.map(|(stream, (expect, events))| Part { stream, expect, events }).collect()
    })
}
