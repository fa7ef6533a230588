//! The C interface: `include/orderguard.h`, which is made from this crate. `docs/embedding-c.md` shows how it is used.
//!
//! Start reading at `model.rs` (load a file, score rows), then `orders.rs` (orders and the history that they are judged by). What
//! is `unsafe` here is that pointers come from C: `border.rs` turns them into references once, and everything behind it is safe.
//! No panic leaves a function: it becomes [`OgStatus::Internal`].

#![allow(unsafe_code, reason = "pointers come from C")]

mod border;
mod model;
mod orders;
mod reasons;
mod setup;
mod state;

pub use border::{OgStatus, og_last_error, og_version};
pub use model::{
    OgModel, OgScore, og_model_free, og_model_from_bytes, og_model_id, og_model_load, og_model_n_values,
    og_model_threshold, og_model_value_name, og_score_row_f32, og_score_row_f64, og_score_rows_f32, og_score_rows_f64,
};
pub use orders::{
    OgOrders, OgSession, OgValue, OgVerdict, og_decide, og_learn_event, og_learn_label, og_learn_order, og_orders_free,
    og_orders_list_name, og_session_free, og_session_new, og_session_row,
};
pub use reasons::{og_contributions, og_reasons_json, og_reasons_text};
pub use setup::{OgList, OgRules, OgTable, og_orders_new};
pub use state::{OgBytes, OgState, og_bytes_free, og_state_free, og_state_new, og_state_restore, og_state_snapshot};
