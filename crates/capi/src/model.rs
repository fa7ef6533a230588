//! Models: loading, and scores of rows.

use std::cell::RefCell;
use std::ffi::c_char;
use std::path::Path;
use std::sync::Arc;

use orderguard_inference::audit::model_id;
use orderguard_inference::explain::Explainer;
use orderguard_inference::model::Model;
use orderguard_inference::reasons::Reasoner;
use orderguard_inference::rows::{RowModel, RowScorer, RowScratch};
use orderguard_inference::{Score, Scorer};

use crate::border::{
    Done, Failure, OgStatus, as_status, call, copy_text, free, get, get_mut, give, slice, slice_mut, text,
};

/// A model that is ready to score rows. Never changes: any number of threads may use it at a time.
pub struct OgModel {
    pub(crate) kind: Kind,
    id: String,
}

pub(crate) enum Kind {
    /// Reads orders; rows hold its features.
    Orders { model: Box<Model>, scorer: Scorer, reasoner: Option<Arc<Reasoner>> },
    /// Another library's: rows hold named values.
    Rows { model: Box<RowModel>, scorer: RowScorer, explainer: Option<Box<Explainer>> },
}

/// What a model says of one row.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OgScore {
    /// Log-odds before calibration; rank and compare by it.
    pub raw_score: f64,
    /// Calibrated probability of fraud, 0 to 1.
    pub probability: f64,
    /// 0 approve, 1 challenge, 2 review, 3 decline; -1 of a converted model, which holds no threshold.
    pub decision: i32,
}

impl From<Score> for OgScore {
    fn from(score: Score) -> Self {
        Self { raw_score: score.raw_score, probability: score.probability, decision: score.decision as i32 }
    }
}

thread_local! {
    /// Many rows are ranked here, so that a call allocates nothing once the thread has made one.
    static SCRATCH: RefCell<(RowScratch, Vec<f64>)> = RefCell::default();
    /// A row in 32 bits, for the same reason.
    static NARROW: RefCell<Vec<f32>> = RefCell::default();
}

impl OgModel {
    fn new(bytes: &[u8]) -> Done<Self> {
        let refuse = as_status(OgStatus::Model);
        if RowModel::is_one(bytes) {
            let model = RowModel::from_bytes(bytes).map_err(as_status(OgStatus::Model))?;
            let scorer = RowScorer::compile(&model).map_err(&refuse)?;
            let explainer = Explainer::compile(&model.forest).ok().map(Box::new);
            // Bytes 32 to 39 of a container begin its checksum.
            let id = format!("{:016x}", bytes[32..40].iter().fold(0, |id, &byte| id << 8 | u64::from(byte)));
            return Ok(Self { kind: Kind::Rows { model: Box::new(model), scorer, explainer }, id });
        }
        let model = Model::from_bytes(bytes).map_err(as_status(OgStatus::Model))?;
        let scorer = Scorer::compile(&model).map_err(&refuse)?;
        let reasoner = Reasoner::compile(&model).ok().map(Arc::new);
        let id = model_id(&model);
        Ok(Self { kind: Kind::Orders { model: Box::new(model), scorer, reasoner }, id })
    }

    pub(crate) fn n_values(&self) -> usize {
        match &self.kind {
            Kind::Orders { scorer, .. } => scorer.n_features(),
            Kind::Rows { scorer, .. } => scorer.n_values(),
        }
    }

    fn score(&self, row: Row<'_>) -> Done<OgScore> {
        let length = as_status(OgStatus::Length);
        match (&self.kind, row) {
            (Kind::Orders { scorer, .. }, Row::Narrow(row)) => Ok(scorer.score(row).map_err(length)?.into()),
            (Kind::Orders { scorer, .. }, Row::Wide(row)) => NARROW.with_borrow_mut(|narrow| {
                narrow.clear();
                narrow.extend(row.iter().map(|&x| x as f32));
                Ok(scorer.score(narrow).map_err(length)?.into())
            }),
            (Kind::Rows { scorer, .. }, Row::Narrow(row)) => {
                Ok(undecided(scorer, scorer.raw_score_f32(row).map_err(length)?))
            }
            (Kind::Rows { scorer, .. }, Row::Wide(row)) => {
                Ok(undecided(scorer, scorer.raw_score(row).map_err(length)?))
            }
        }
    }

    /// Scores of rows that stand one after the other.
    fn scores(&self, rows: Row<'_>, out: &mut [OgScore]) -> Done {
        let n = self.n_values();
        let Kind::Rows { scorer, .. } = &self.kind else {
            for (i, score) in out.iter_mut().enumerate() {
                *score = self.score(match rows {
                    Row::Narrow(rows) => Row::Narrow(&rows[i * n..][..n]),
                    Row::Wide(rows) => Row::Wide(&rows[i * n..][..n]),
                })?;
            }
            return Ok(());
        };
        SCRATCH.with_borrow_mut(|(scratch, raw_scores)| {
            raw_scores.resize(out.len(), 0.0);
            let done = match rows {
                Row::Narrow(rows) => scorer.raw_scores_f32_into(rows, raw_scores, scratch),
                Row::Wide(rows) => scorer.raw_scores_into(rows, raw_scores, scratch),
            };
            done.map_err(as_status(OgStatus::Length))?;
            for (score, &raw_score) in out.iter_mut().zip(raw_scores.iter()) {
                *score = undecided(scorer, raw_score);
            }
            Ok(())
        })
    }

    pub(crate) fn orders(&self) -> Done<&Model> {
        match &self.kind {
            Kind::Orders { model, .. } => Ok(model),
            Kind::Rows { .. } => {
                Err(Failure::new(OgStatus::Unsupported, "the model is a converted one: it reads rows, not orders"))
            }
        }
    }
}

/// One row, or several.
#[derive(Clone, Copy)]
enum Row<'a> {
    Narrow(&'a [f32]),
    Wide(&'a [f64]),
}

fn undecided(scorer: &RowScorer, raw_score: f64) -> OgScore {
    OgScore { raw_score, probability: scorer.probability(raw_score), decision: -1 }
}

/// Loads a model file, ours or a converted one, and checks all that scoring relies on. `path` is UTF-8.
///
/// # Safety
/// `path` ends with a zero byte; `out` has room for a pointer. Free the model with `og_model_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_model_load(path: *const c_char, out: *mut *mut OgModel) -> OgStatus {
    call(|| {
        // SAFETY: as promised by the caller.
        unsafe {
            give(out, || {
                let path = Path::new(text(path, "path")?);
                let io = |error| Failure::new(OgStatus::Io, format_args!("{}: {error}", path.display()));
                // A file that is too long is refused by its length, not read.
                let len = std::fs::metadata(path).map_err(io)?.len();
                if len > orderguard_inference::format::MAX_FILE_LEN as u64 {
                    return Err(Failure::new(OgStatus::Model, format_args!("{}: {len} bytes", path.display())));
                }
                OgModel::new(&std::fs::read(path).map_err(io)?)
            })
        }
    })
}

/// As `og_model_load`, of the bytes of a model file, which are not needed afterwards.
///
/// # Safety
/// `bytes` points to `len` bytes; `out` has room for a pointer. Free the model with `og_model_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_model_from_bytes(bytes: *const u8, len: usize, out: *mut *mut OgModel) -> OgStatus {
    // SAFETY: as promised by the caller.
    call(|| unsafe { give(out, || OgModel::new(slice(bytes, len, "bytes")?)) })
}

/// Frees a model; null is nothing. What was made of it (`og_orders_new`) stays.
///
/// # Safety
/// `model` came from this library, was not freed, and no other thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_model_free(model: *mut OgModel) {
    // SAFETY: as promised by the caller.
    unsafe { free(model) }
}

/// Values of a row; 0 of null.
///
/// # Safety
/// `model` is null or a model.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_model_n_values(model: *const OgModel) -> usize {
    // SAFETY: as promised by the caller.
    unsafe { model.as_ref() }.map_or(0, OgModel::n_values)
}

/// Writes what value `at` of a row is, a feature or a name, and a zero byte into `buffer`.
///
/// # Safety
/// `model` is a model; `buffer` has room for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_model_value_name(
    model: *const OgModel,
    at: usize,
    buffer: *mut c_char,
    len: usize,
) -> OgStatus {
    call(|| {
        // SAFETY: as promised by the caller.
        let model = unsafe { get(model, "model") }?;
        let name = match &model.kind {
            Kind::Orders { model, .. } => model.spec.features.get(at).map(ToString::to_string),
            Kind::Rows { model, .. } => model.names.get(at).cloned(),
        };
        let n = model.n_values();
        let name =
            name.ok_or_else(|| Failure::new(OgStatus::Argument, format_args!("value {at} is outside of {n}")))?;
        // SAFETY: as promised by the caller.
        unsafe { copy_text(&name, buffer, len) }
    })
}

/// Writes what tells the model from others, 16 hexadecimal digits, and a zero byte into `buffer`.
///
/// # Safety
/// `model` is a model; `buffer` has room for `len` bytes, 17 of which are needed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_model_id(model: *const OgModel, buffer: *mut c_char, len: usize) -> OgStatus {
    // SAFETY: as promised by the caller.
    call(|| unsafe { copy_text(&get(model, "model")?.id, buffer, len) })
}

/// From which raw score on orders are stopped. A converted model holds no threshold.
///
/// # Safety
/// `model` is a model; `out` has room for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_model_threshold(model: *const OgModel, out: *mut f64) -> OgStatus {
    call(|| {
        // SAFETY: as promised by the caller.
        let (model, out) = unsafe { (get(model, "model")?, get_mut(out, "out")?) };
        *out = model.orders()?.threshold.raw_score;
        Ok(())
    })
}

/// Scores one row of `n_values` values; NaN is missing, any other bits give a score too.
///
/// # Safety
/// `model` is a model; `row` points to `n_values` numbers; `out` has room for a score.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_score_row_f32(
    model: *const OgModel,
    row: *const f32,
    n_values: usize,
    out: *mut OgScore,
) -> OgStatus {
    call(|| {
        // SAFETY: as promised by the caller.
        let (model, row, out) = unsafe { (get(model, "model")?, slice(row, n_values, "row")?, get_mut(out, "out")?) };
        *out = model.score(Row::Narrow(row))?;
        Ok(())
    })
}

/// As `og_score_row_f32`, of 64-bit numbers. A model that reads orders rounds them to 32 bits, as its features are; a converted one
/// compares all 64.
///
/// # Safety
/// `model` is a model; `row` points to `n_values` numbers; `out` has room for a score.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_score_row_f64(
    model: *const OgModel,
    row: *const f64,
    n_values: usize,
    out: *mut OgScore,
) -> OgStatus {
    call(|| {
        // SAFETY: as promised by the caller.
        let (model, row, out) = unsafe { (get(model, "model")?, slice(row, n_values, "row")?, get_mut(out, "out")?) };
        *out = model.score(Row::Wide(row))?;
        Ok(())
    })
}

/// Scores `n_rows` rows that stand one after the other; the same bits as one at a time.
///
/// # Safety
/// `model` is a model; `rows` points to `n_rows * n_values` numbers; `out` has room for `n_rows` scores.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_score_rows_f32(
    model: *const OgModel,
    rows: *const f32,
    n_rows: usize,
    n_values: usize,
    out: *mut OgScore,
) -> OgStatus {
    call(|| {
        // SAFETY: as promised by the caller.
        unsafe {
            let model = get(model, "model")?;
            let n = cells(model, n_rows, n_values)?;
            model.scores(Row::Narrow(slice(rows, n, "rows")?), slice_mut(out, n_rows, "out")?)
        }
    })
}

/// As `og_score_rows_f32`, of 64-bit numbers; see `og_score_row_f64`.
///
/// # Safety
/// `model` is a model; `rows` points to `n_rows * n_values` numbers; `out` has room for `n_rows` scores.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_score_rows_f64(
    model: *const OgModel,
    rows: *const f64,
    n_rows: usize,
    n_values: usize,
    out: *mut OgScore,
) -> OgStatus {
    call(|| {
        // SAFETY: as promised by the caller.
        unsafe {
            let model = get(model, "model")?;
            let n = cells(model, n_rows, n_values)?;
            model.scores(Row::Wide(slice(rows, n, "rows")?), slice_mut(out, n_rows, "out")?)
        }
    })
}

/// Numbers of all rows together, where rows are as long as the model's.
fn cells(model: &OgModel, n_rows: usize, n_values: usize) -> Done<usize> {
    let expected = model.n_values();
    let cells = n_rows.checked_mul(n_values).filter(|_| n_values == expected);
    cells.ok_or_else(|| {
        let message = format!("rows: expected {expected} values each, found {n_rows} rows of {n_values}");
        Failure::new(OgStatus::Length, message)
    })
}
