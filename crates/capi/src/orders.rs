//! Orders: decided with what is remembered, then learned.

use std::ffi::{CString, c_char};
use std::sync::Arc;

use orderguard_features::event::Value;
use orderguard_features::state::Learned;
use orderguard_features::time::UnixMillis;
use orderguard_inference::reasons::{ReasonScratch, Reasoner};
use orderguard_inference::rules::{Decider, Ground};
use orderguard_inference::service::{OrderScorer, Scratch};

use crate::border::{
    Done, Failure, OgStatus, as_status, call, copy_text, free, get, get_mut, give, not_text, remember, slice, text,
};
use crate::model::OgScore;
use crate::state::OgState;

/// A model bound to the columns of orders, with rules. Never changes: any number of threads may use it at a time.
pub struct OgOrders {
    pub(crate) decider: Decider,
    pub(crate) reasoner: Option<Arc<Reasoner>>,
    pub(crate) lists: Vec<String>,
    /// Tells it from others, so that a session's order is not learned by another model.
    pub(crate) number: u64,
}

impl OgOrders {
    pub(crate) fn scorer(&self) -> &OrderScorer {
        self.decider.scorer()
    }
}

/// Memory of one thread, which remembers the order that was decided last. One thread at a time may use it.
pub struct OgSession {
    pub(crate) scratch: Scratch,
    pub(crate) reasons: ReasonScratch,
    pub(crate) text: CString,
    /// What decided the order that `scratch` holds, and its raw score; none where it holds no order.
    last: Option<(u64, f64)>,
    values: Vec<Value<'static>>,
}

impl OgSession {
    /// The raw score of the order that these `orders` decided last.
    pub(crate) fn raw_score(&self, orders: &OgOrders) -> Done<f64> {
        match self.last {
            Some((number, raw_score)) if number == orders.number => Ok(raw_score),
            _ => {
                let message = "session: expected an order that was read and decided with these orders, found none";
                Err(Failure::new(OgStatus::Order, message))
            }
        }
    }
}

/// One value of an order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OgValue {
    /// 0 missing, 1 `text`, 2 `number`.
    pub kind: i32,
    /// UTF-8, read exactly as a cell of a file is; needs no zero byte behind it.
    pub text: *const c_char,
    /// Bytes of the text.
    pub len: usize,
    /// A number; NaN is missing.
    pub number: f64,
}

/// What is to be done with an order, and why.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OgVerdict {
    /// 0 approve, 1 challenge, 2 review, 3 decline.
    pub decision: i32,
    /// What decided: 0 the model, 1 a list, 2 the limit of first orders, 3 nothing, because the order could not be read.
    pub ground: i32,
    /// Position of the list that decided; 0 where none did.
    pub list: usize,
    /// What the model says; NaN and -1 of an order that could not be read.
    pub score: OgScore,
}

/// The memory of one thread.
///
/// # Safety
/// `orders` came from `og_orders_new`; `out` has room for a pointer. Free the session with `og_session_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_session_new(orders: *const OgOrders, out: *mut *mut OgSession) -> OgStatus {
    call(|| {
        // SAFETY: as promised by the caller.
        unsafe {
            give(out, || {
                let scratch = get(orders, "orders")?.scorer().scratch();
                let (reasons, text) = (ReasonScratch::default(), CString::default());
                Ok(OgSession { scratch, reasons, text, last: None, values: Vec::new() })
            })
        }
    })
}

/// Frees a session; null is nothing.
///
/// # Safety
/// `session` came from this library, was not freed, and no other thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_session_free(session: *mut OgSession) {
    // SAFETY: as promised by the caller.
    unsafe { free(session) }
}

/// Frees orders; null is nothing. States and sessions made with it stay.
///
/// # Safety
/// `orders` came from this library, was not freed, and no other thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_orders_free(orders: *mut OgOrders) {
    // SAFETY: as promised by the caller.
    unsafe { free(orders) }
}

/// Decides about an order with what `state` remembers, which does not change: see `og_learn_order`. `arrival_ms` is when the order
/// came in, milliseconds since 1970.
///
/// An order that cannot be read has the fallback of the rules (or is declined, if an entity of it is blocked): the call succeeds, and
/// `og_last_error` says what could not be read.
///
/// # Safety
/// `orders`, `state` and `session` are what they say; no other thread uses the session; `values` points to `n_values` values whose
/// texts are there; `out` has room for a verdict.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_decide(
    orders: *const OgOrders,
    state: *const OgState,
    session: *mut OgSession,
    values: *const OgValue,
    n_values: usize,
    arrival_ms: i64,
    out: *mut OgVerdict,
) -> OgStatus {
    call(|| {
        // SAFETY: as promised by the caller.
        let (orders, state, session, values, out) = unsafe {
            (
                get(orders, "orders")?,
                get(state, "state")?,
                get_mut(session, "session")?,
                slice(values, n_values, "values")?,
                get_mut(out, "out")?,
            )
        };
        session.last = None;
        let mut read = recycle(std::mem::take(&mut session.values));
        // SAFETY: as promised by the caller.
        unsafe { read_values(values, &mut read) }?;
        let verdict = {
            let state = state.read(orders)?;
            orders.decider.decide(&state, &read, UnixMillis(arrival_ms), &mut session.scratch)
        };
        session.values = recycle(read);
        let (ground, list) = match verdict.ground {
            Ground::Model => (0, 0),
            Ground::List(at) => (1, at),
            Ground::FirstOrder => (2, 0),
            Ground::Unreadable => (3, 0),
        };
        let unread = OgScore { raw_score: f64::NAN, probability: f64::NAN, decision: -1 };
        let score = verdict.score.map_or(unread, OgScore::from);
        *out = OgVerdict { decision: verdict.decision as i32, ground, list, score };
        session.last = verdict.score.map(|score| (orders.number, score.raw_score));
        if let Some(error) = verdict.error {
            remember(&error.to_string());
        }
        Ok(())
    })
}

/// Lets `state` remember the order that `session` decided last. An order id that is known is ignored. `taken`, unless null, says
/// whether it was new.
///
/// # Safety
/// `orders`, `state` and `session` are what they say; no other thread uses the session; `taken` is null or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_learn_order(
    orders: *const OgOrders,
    state: *const OgState,
    session: *const OgSession,
    taken: *mut bool,
) -> OgStatus {
    call(|| {
        // SAFETY: as promised by the caller.
        let (orders, state, session) =
            unsafe { (get(orders, "orders")?, get(state, "state")?, get(session, "session")?) };
        session.raw_score(orders)?;
        let learned = orders.scorer().learn(&mut *state.write(orders)?, &session.scratch);
        // SAFETY: as promised by the caller.
        unsafe { tell(taken, learned) };
        Ok(())
    })
}

/// Lets `state` remember another event than an order (its kind stands in the column of event kinds), or an order without deciding.
/// The session holds no order afterwards.
///
/// # Safety
/// As `og_decide`; `taken` is null or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_learn_event(
    orders: *const OgOrders,
    state: *const OgState,
    session: *mut OgSession,
    values: *const OgValue,
    n_values: usize,
    arrival_ms: i64,
    taken: *mut bool,
) -> OgStatus {
    call(|| {
        // SAFETY: as promised by the caller.
        let (orders, state, session, values) = unsafe {
            (
                get(orders, "orders")?,
                get(state, "state")?,
                get_mut(session, "session")?,
                slice(values, n_values, "values")?,
            )
        };
        session.last = None;
        let mut read = recycle(std::mem::take(&mut session.values));
        // SAFETY: as promised by the caller.
        unsafe { read_values(values, &mut read) }?;
        let learned = orders.scorer().learn_event(
            &mut *state.write(orders)?,
            &read,
            UnixMillis(arrival_ms),
            &mut session.scratch,
        );
        session.values = recycle(read);
        // SAFETY: as promised by the caller.
        unsafe { tell(taken, learned.map_err(as_status(OgStatus::Order))?) };
        Ok(())
    })
}

/// Lets `state` remember what an order turned out to be: fraud, or (`fraud` false) that an earlier label is taken back. `time_ms` is
/// when the shop learned it.
///
/// # Safety
/// `orders` and `state` are what they say; `order_id` ends with a zero byte; `taken` is null or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_learn_label(
    orders: *const OgOrders,
    state: *const OgState,
    order_id: *const c_char,
    time_ms: i64,
    fraud: bool,
    taken: *mut bool,
) -> OgStatus {
    call(|| {
        // SAFETY: as promised by the caller.
        let (orders, state, id) =
            unsafe { (get(orders, "orders")?, get(state, "state")?, text(order_id, "order_id")?) };
        let learned = orders.scorer().learn_label(&mut *state.write(orders)?, id, UnixMillis(time_ms), fraud);
        // SAFETY: as promised by the caller.
        unsafe { tell(taken, learned) };
        Ok(())
    })
}

/// The feature row of the order that `session` decided last: `og_model_n_values` numbers, NaN where missing. They live until the
/// session is used again.
///
/// # Safety
/// `orders` and `session` are what they say; `row` and `n_values` have room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_session_row(
    orders: *const OgOrders,
    session: *const OgSession,
    row: *mut *const f32,
    n_values: *mut usize,
) -> OgStatus {
    call(|| {
        // SAFETY: as promised by the caller.
        let (orders, session, row, n_values) = unsafe {
            (get(orders, "orders")?, get(session, "session")?, get_mut(row, "row")?, get_mut(n_values, "n_values")?)
        };
        session.raw_score(orders)?;
        let found = session.scratch.row();
        (*row, *n_values) = (found.as_ptr(), found.len());
        Ok(())
    })
}

/// Writes the name of the list at a position and a zero byte into `buffer`.
///
/// # Safety
/// `orders` came from `og_orders_new`; `buffer` has room for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_orders_list_name(
    orders: *const OgOrders,
    list: usize,
    buffer: *mut c_char,
    len: usize,
) -> OgStatus {
    call(|| {
        // SAFETY: as promised by the caller.
        let orders = unsafe { get(orders, "orders") }?;
        let refuse =
            || Failure::new(OgStatus::Argument, format_args!("list {list} is outside of {}", orders.lists.len()));
        let name = orders.lists.get(list).ok_or_else(refuse)?;
        // SAFETY: as promised by the caller.
        unsafe { copy_text(name, buffer, len) }
    })
}

/// # Safety
/// The texts of the values are there for as long as they are used.
unsafe fn read_values<'a>(values: &'a [OgValue], read: &mut Vec<Value<'a>>) -> Done {
    for value in values {
        read.push(match value.kind {
            0 => Value::Missing,
            1 => {
                // SAFETY: as promised by the caller.
                let bytes = unsafe { slice(value.text.cast::<u8>(), value.len, "text") }?;
                Value::Text(std::str::from_utf8(bytes).map_err(|_| not_text("text"))?)
            }
            2 => Value::Number(value.number),
            other => {
                let message = format!("kind of a value: expected 0 to 2, found {other}");
                return Err(Failure::new(OgStatus::Argument, message));
            }
        });
    }
    Ok(())
}

/// The same memory for values of another lifetime: collecting in place keeps the allocation of a vector without elements.
fn recycle<'a>(mut values: Vec<Value<'_>>) -> Vec<Value<'a>> {
    values.clear();
    values.into_iter().map(|_| Value::Missing).collect()
}

/// # Safety
/// `taken` is null or has room.
unsafe fn tell(taken: *mut bool, learned: Learned) {
    if !taken.is_null() {
        // SAFETY: as promised by the caller.
        unsafe { taken.write(learned == Learned::Taken) };
    }
}
