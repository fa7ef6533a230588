//! Rows and orders are scored through the C interface without an allocation, once a thread has scored one. One test in this program, so
//! that no other thread counts.
#![allow(unsafe_code, reason = "the interface takes pointers, and an allocator counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::c_char;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};

use orderguard_c::{
    OgScore, OgStatus, OgValue, OgVerdict, og_contributions, og_decide, og_model_free, og_model_from_bytes,
    og_model_n_values, og_orders_free, og_orders_new, og_score_row_f32, og_score_row_f64, og_score_rows_f32,
    og_score_rows_f64, og_session_free, og_session_new, og_state_free, og_state_new,
};
use orderguard_features::identity::{IdentityKey, PUBLIC_KEY};
use orderguard_inference::model::Model;

static N_ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        N_ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of this very method.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `call` allocates after it was made twice.
fn count(mut call: impl FnMut() -> OgStatus) -> usize {
    assert_eq!((call(), call()), (OgStatus::Ok, OgStatus::Ok));
    let before = N_ALLOCATIONS.load(Ordering::Relaxed);
    assert_eq!((call(), call()), (OgStatus::Ok, OgStatus::Ok));
    N_ALLOCATIONS.load(Ordering::Relaxed) - before
}

fn rows(file: &[u8]) {
    let mut model = null_mut();
    // SAFETY: the pointers are those of slices and places that live for as long as they are used, and lengths are theirs.
    unsafe {
        assert_eq!(og_model_from_bytes(file.as_ptr(), file.len(), &raw mut model), OgStatus::Ok);
        let n = og_model_n_values(model);
        let wide: Vec<f64> = (0..n * 9).map(|i| (i * 37 % 101) as f64).collect();
        let narrow: Vec<f32> = wide.iter().map(|&x| x as f32).collect();
        let (mut scores, mut parts) = ([OgScore::default(); 9], vec![0.0; n]);
        let out = scores.as_mut_ptr();
        let calls = [
            count(|| og_score_row_f32(model, narrow.as_ptr(), n, out)),
            count(|| og_score_row_f64(model, wide.as_ptr(), n, out)),
            count(|| og_score_rows_f32(model, narrow.as_ptr(), 9, n, out)),
            count(|| og_score_rows_f64(model, wide.as_ptr(), 9, n, out)),
            count(|| og_contributions(model, wide.as_ptr(), n, parts.as_mut_ptr(), null_mut())),
        ];
        assert_eq!(calls, [0; 5]);
        og_model_free(model);
    }
}

fn decisions(file: &[u8]) {
    let names = [c"order \"id\"\nof the shop", c"placed", c"is_fraud", c"amount", c"items", c"country", c"card \"no\""];
    let names: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let text = |text: &'static str| OgValue { kind: 1, text: text.as_ptr().cast(), len: text.len(), number: 0.0 };
    let number = |number| OgValue { kind: 2, text: null(), len: 0, number };
    let missing = OgValue { kind: 0, text: null(), len: 0, number: 0.0 };
    // Identifiers that must be brought to another spelling first, such as a card with spaces, take memory for it.
    let order =
        [text("o-1"), text("2027-01-14T00:00:00Z"), missing, number(10.0), number(1.0), text("PL"), text("card1")];
    let (mut model, mut orders, mut state, mut session) = (null_mut(), null_mut(), null_mut(), null_mut());
    let unread = OgScore { raw_score: f64::NAN, probability: f64::NAN, decision: -1 };
    let mut verdict = OgVerdict { decision: -1, ground: -1, list: 0, score: unread };
    // SAFETY: as above; texts end with a zero byte.
    unsafe {
        assert_eq!(og_model_from_bytes(file.as_ptr(), file.len(), &raw mut model), OgStatus::Ok);
        let n = names.len();
        let made = og_orders_new(model, null(), 0, names.as_ptr(), n, null(), 0, null(), &raw mut orders);
        assert_eq!(made, OgStatus::Ok);
        assert_eq!(og_state_new(orders, &raw mut state), OgStatus::Ok);
        assert_eq!(og_session_new(orders, &raw mut session), OgStatus::Ok);
        let out = &raw mut verdict;
        let n_allocations = count(|| og_decide(orders, state, session, order.as_ptr(), n, 1_800_000_000_000, out));
        assert_eq!((n_allocations, verdict.ground), (0, 0));
        og_session_free(session);
        og_state_free(state);
        og_orders_free(orders);
        og_model_free(model);
    }
}

#[test]
fn calls_allocate_nothing_once_their_thread_is_warm() {
    let spoken = include_bytes!("../../../models/golden/v0/spoken.ogm");
    rows(spoken);
    rows(include_bytes!("../../../models/golden/v0/converted.ogm"));
    let mut model = Model::from_bytes(spoken).unwrap();
    model.card.key_check = IdentityKey::new(PUBLIC_KEY).check();
    decisions(&model.to_bytes().unwrap());
}
