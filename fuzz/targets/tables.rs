//! Tables of orders, delimited, JSON Lines or packed: what is read and what is rejected are all rows, for any size of blocks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orderguard_dataset::infer::{InferOptions, infer};
use orderguard_dataset::read::{ReadOptions, ReadOutcome, read};
use orderguard_dataset::scan::profile;
use orderguard_dataset::source::{Input, SourceOptions, Sources};
use orderguard_features::schema::Schema;

fuzz_target!(init: {
    // One worker, which is this thread: no waiting for others.
    rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global().expect("no pool was used before");
}, |data: &[u8]| {
    let Some((&choice, rest)) = data.split_first() else { return };
    let name = ["a.csv", "a.jsonl", "a.csv.gz", "a.csv.zst"][usize::from(choice) % 4];
    let open = |block_bytes| {
        let input = Input::Bytes { name: name.into(), bytes: rest.to_vec() };
        Sources::open(vec![input], SourceOptions { max_bytes: 1 << 20, block_bytes, ..SourceOptions::default() })
    };
    let (Ok(whole), Ok(cut)) = (open(1 << 20), open(64)) else { return };
    let Ok(profile) = profile(&whole, &|_, _| {}) else { return };
    let Ok(proposal) = infer(&profile, &InferOptions { label_required: false, ..InferOptions::default() }) else { return };
    let all = |sources: &Sources, schema: &Schema| {
        read(sources, schema, &ReadOptions { max_rejected: 1.0, ..ReadOptions::default() }, &|_, _| {})
    };
    match (all(&whole, &proposal.schema), all(&cut, &proposal.schema)) {
        (Ok(a), Ok(b)) => {
            assert_eq!(counts(&a), counts(&b));
            assert_eq!(a.table.line, b.table.line);
        }
        (a, b) => assert_eq!(a.is_err(), b.is_err(), "blocks of 64 bytes change what is read"),
    }
});

/// Rows seen, taken and rejected, which add up.
fn counts(read: &ReadOutcome) -> (u64, u64, u64) {
    let n_events = read.events.as_ref().map_or(0, |events| events.kinds.len());
    let n_taken = (read.table.line.len() + n_events) as u64;
    let n_rejected = read.rejections.count();
    assert_eq!(n_taken + n_rejected, read.n_rows_seen);
    (read.n_rows_seen, n_taken, n_rejected)
}
