//! Why a row or an order has its score.

use std::cell::RefCell;
use std::ffi::{CString, c_char};

use orderguard_inference::explain::ExplainScratch;
use orderguard_inference::reasons::{Language, Reasoner};

use crate::border::{Done, Failure, OgStatus, as_status, call, get, get_mut, slice, slice_mut};
use crate::model::{Kind, OgModel};
use crate::orders::{OgOrders, OgSession};

thread_local! {
    /// Beside what explaining needs, the row in 32 bits.
    static SCRATCH: RefCell<(ExplainScratch, Vec<f32>)> = RefCell::default();
}

/// What each value of a row adds to its raw score, in log-odds; with `expected`, the score of nobody in particular, they sum to it.
/// A model that reads orders rounds the values to 32 bits.
///
/// # Safety
/// `model` is a model; `row` points to `n_values` numbers; `out` has room for as many, apart from `row`; `expected` is null or
/// has room for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_contributions(
    model: *const OgModel,
    row: *const f64,
    n_values: usize,
    out: *mut f64,
    expected: *mut f64,
) -> OgStatus {
    call(|| {
        // SAFETY: as promised by the caller.
        let (model, row, out) =
            unsafe { (get(model, "model")?, slice(row, n_values, "row")?, slice_mut(out, n_values, "out")?) };
        let length = as_status(OgStatus::Length);
        let mean = SCRATCH.with_borrow_mut(|(scratch, narrow)| -> Done<f64> {
            match &model.kind {
                Kind::Orders { reasoner, .. } => {
                    let explainer = reasoner.as_ref().ok_or_else(no_background)?.explainer();
                    narrow.clear();
                    narrow.extend(row.iter().map(|&x| x as f32));
                    explainer.explain(narrow, scratch, out).map_err(length)?;
                    Ok(explainer.expected())
                }
                Kind::Rows { explainer, .. } => {
                    let explainer = explainer.as_ref().ok_or_else(no_background)?;
                    explainer.explain(row, scratch, out).map_err(length)?;
                    Ok(explainer.expected())
                }
            }
        })?;
        if !expected.is_null() {
            // SAFETY: as promised by the caller.
            *unsafe { get_mut(expected, "expected") }? = mean;
        }
        Ok(())
    })
}

/// The reasons of the order that `session` decided last, one per line, those that speak most against the order first: at most
/// `max_reasons`, and none that speaks for it. `language` is 0 for English, 1 for Polish. The text lives until the session is used again.
///
/// # Safety
/// `orders` and `session` are what they say; no other thread uses the session; `out` has room for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_reasons_text(
    orders: *const OgOrders,
    session: *mut OgSession,
    language: i32,
    max_reasons: usize,
    out: *mut *const c_char,
) -> OgStatus {
    call(|| {
        // SAFETY: as promised by the caller.
        let (orders, session, out) =
            unsafe { (get(orders, "orders")?, get_mut(session, "session")?, get_mut(out, "out")?) };
        let (_, said) = reasons(orders, session, language, max_reasons)?;
        let lines: Vec<String> = said.into_iter().map(|(_, text, ..)| text).collect();
        session.text = CString::new(lines.join("\n")).map_err(as_status(OgStatus::Model))?;
        *out = session.text.as_ptr();
        Ok(())
    })
}

/// As `og_reasons_text`, as a JSON array of objects: `group`, `text`, `log_odds` (what the reason adds to the raw score) and
/// `probability` (what it adds to the calibrated probability).
///
/// # Safety
/// `orders` and `session` are what they say; no other thread uses the session; `out` has room for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_reasons_json(
    orders: *const OgOrders,
    session: *mut OgSession,
    language: i32,
    max_reasons: usize,
    out: *mut *const c_char,
) -> OgStatus {
    call(|| {
        // SAFETY: as promised by the caller.
        let (orders, session, out) =
            unsafe { (get(orders, "orders")?, get_mut(session, "session")?, get_mut(out, "out")?) };
        let (reasoner, said) = reasons(orders, session, language, max_reasons)?;
        let object = |(group, text, log_odds, probability): (u32, String, f64, f64)| {
            let group = &reasoner.groups()[group as usize];
            serde_json::json!({ "group": group, "text": text, "log_odds": log_odds, "probability": probability })
        };
        let json = serde_json::Value::Array(said.into_iter().map(object).collect()).to_string();
        session.text = CString::new(json).map_err(as_status(OgStatus::Model))?;
        *out = session.text.as_ptr();
        Ok(())
    })
}

/// Group, words, log-odds and probability of a reason.
type Said = (u32, String, f64, f64);

fn reasons<'a>(
    orders: &'a OgOrders,
    session: &mut OgSession,
    language: i32,
    max_reasons: usize,
) -> Done<(&'a Reasoner, Vec<Said>)> {
    let language = match language {
        0 => Language::English,
        1 => Language::Polish,
        other => {
            let message = format!("language: expected 0 (English) or 1 (Polish), found {other}");
            return Err(Failure::new(OgStatus::Argument, message));
        }
    };
    let reasoner = orders.reasoner.as_deref().ok_or_else(no_background)?;
    let raw_score = session.raw_score(orders)?;
    let row = session.scratch.row();
    let found = reasoner.reasons(row, raw_score, &mut session.reasons).map_err(as_status(OgStatus::Length))?;
    let against = found.iter().take_while(|reason| reason.log_odds > 0.0).take(max_reasons);
    let said =
        against.map(|reason| (reason.group, reasoner.text(reason, row, language), reason.log_odds, reason.probability));
    Ok((reasoner, said.collect()))
}

fn no_background() -> Failure {
    Failure::new(OgStatus::Unsupported, "the model holds no training rows, which reasons are measured against")
}
