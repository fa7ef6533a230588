//! What orders are judged with: key, columns, tables, rules.

use std::ffi::c_char;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use orderguard_features::identity::{IdentityKey, PUBLIC_KEY};
use orderguard_features::own::Tables;
use orderguard_features::own::tables::TableKind;
use orderguard_inference::Decision;
use orderguard_inference::rules::{Decider, EntityList, FirstOrderLimit, Rules};
use orderguard_inference::service::OrderScorer;

use crate::border::{Done, Failure, OgStatus, as_status, call, get, give, slice, text, texts};
use crate::model::{Kind, OgModel};
use crate::orders::OgOrders;

/// A table of the shop's own, which the model must have been trained with.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OgTable {
    /// 0 network addresses (MaxMind), 1 BINs, 2 free e-mail domains, 3 disposable e-mail domains.
    pub kind: i32,
    /// The bytes of the file; not needed after the call.
    pub bytes: *const u8,
    /// How many.
    pub len: usize,
}

/// Entities that are declined, or approved, whatever the score.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OgList {
    /// How decisions name it.
    pub name: *const c_char,
    /// The column, by name or role, such as `customer` or `card`.
    pub column: *const c_char,
    /// Whether its entities are trusted, and approved, or blocked, and declined.
    pub trusted: bool,
    /// Identifiers as the shop has them; not needed after the call.
    pub ids: *const *const c_char,
    /// How many.
    pub n_ids: usize,
}

/// What a shop decides itself, beside the model.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OgRules {
    /// Lists of entities; blocked before trusted.
    pub lists: *const OgList,
    /// How many.
    pub n_lists: usize,
    /// Amount in major units above which the first order of an account is affected; NaN for no limit.
    pub first_order_max_amount: f32,
    /// The mildest decision that such orders have: 0 to 3 as in `OgScore`.
    pub first_order_decision: i32,
    /// The decision of orders that cannot be read: 0 to 3 as in `OgScore`.
    pub fallback: i32,
}

/// Binds a model to the columns that every order will come with. The model is not needed afterwards.
///
/// `key` is the identity key of the training, null for the public one. `names` are the names of an order's values in their order;
/// columns that the model does not read may be among them. `tables` and `rules` may be null: no tables; no rules, and review for
/// orders that cannot be read.
///
/// # Safety
/// `model` is a model; `key` is null or points to `key_len` bytes; `names` points to `n_names` texts; `tables` to `n_tables` tables;
/// `rules` is null or holds what it says; `out` has room for a pointer. Free the result with `og_orders_free`.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments, reason = "C has lengths apart from arrays")]
pub unsafe extern "C" fn og_orders_new(
    model: *const OgModel,
    key: *const u8,
    key_len: usize,
    names: *const *const c_char,
    n_names: usize,
    tables: *const OgTable,
    n_tables: usize,
    rules: *const OgRules,
    out: *mut *mut OgOrders,
) -> OgStatus {
    static COUNTER: AtomicU64 = AtomicU64::new(1);
    call(|| {
        // SAFETY: as promised by the caller, here and for what these calls read.
        unsafe {
            give(out, || {
                let model = get(model, "model")?;
                let secret = if key.is_null() { PUBLIC_KEY } else { slice(key, key_len, "key")? };
                let names = texts(names, n_names, "names")?;
                let tables = read_tables(slice(tables, n_tables, "tables")?)?;
                let rules = if rules.is_null() { Rules::default() } else { read_rules(get(rules, "rules")?)? };
                let of = model.orders()?;
                let setup = as_status(OgStatus::Setup);
                let scorer = OrderScorer::with_tables(of, IdentityKey::new(secret), Arc::new(tables), &names);
                let decider = Decider::new(scorer.map_err(setup)?, of, &names, &rules);
                let decider = decider.map_err(as_status(OgStatus::Setup))?;
                let reasoner = match &model.kind {
                    Kind::Orders { reasoner, .. } => reasoner.clone(),
                    Kind::Rows { .. } => None,
                };
                let lists = rules.lists.into_iter().map(|list| list.name).collect();
                let number = COUNTER.fetch_add(1, Ordering::Relaxed);
                Ok(OgOrders { decider, reasoner, lists, number })
            })
        }
    })
}

/// # Safety
/// Each table points to its bytes.
unsafe fn read_tables(tables: &[OgTable]) -> Done<Tables> {
    let mut all = Tables::new();
    for table in tables {
        let kinds = [TableKind::Geo, TableKind::Bins, TableKind::FreeDomains, TableKind::DisposableDomains];
        let kind = usize::try_from(table.kind).ok().and_then(|at| kinds.get(at).copied());
        let kind = kind.ok_or_else(|| out_of("kind of a table", table.kind))?;
        // SAFETY: as promised by the caller.
        let bytes = unsafe { slice(table.bytes, table.len, "table") }?;
        all = all.with(kind, bytes.to_vec()).map_err(as_status(OgStatus::Setup))?;
    }
    Ok(all)
}

/// # Safety
/// The rules point to their lists, these to their texts.
unsafe fn read_rules(rules: &OgRules) -> Done<Rules> {
    let mut lists = Vec::new();
    // SAFETY: as promised by the caller.
    for list in unsafe { slice(rules.lists, rules.n_lists, "lists") }? {
        // SAFETY: as promised by the caller.
        let (name, column, ids) =
            unsafe { (text(list.name, "name")?, text(list.column, "column")?, texts(list.ids, list.n_ids, "ids")?) };
        let ids = ids.into_iter().map(str::to_owned).collect();
        lists.push(EntityList { name: name.into(), column: column.into(), trusted: list.trusted, ids });
    }
    let first_order = if rules.first_order_max_amount.is_nan() {
        None
    } else {
        let decision = decision(rules.first_order_decision)?;
        Some(FirstOrderLimit { max_amount: rules.first_order_max_amount, decision })
    };
    Ok(Rules { lists, first_order, fallback: decision(rules.fallback)? })
}

fn decision(number: i32) -> Done<Decision> {
    let found = usize::try_from(number).ok().and_then(|at| Decision::ALL.get(at).copied());
    found.ok_or_else(|| out_of("decision", number))
}

/// A number that means nothing.
pub(crate) fn out_of(what: &str, found: i32) -> Failure {
    Failure::new(OgStatus::Argument, format_args!("{what}: expected 0 to 3, found {found}"))
}
