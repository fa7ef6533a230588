//! What is remembered of customers, cards, devices and so on.

use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use orderguard_features::state::State;

use crate::border::{Done, Failure, OgStatus, as_status, call, free, get, get_mut, give, slice};
use crate::orders::OgOrders;

/// History. Any number of threads may use it at a time: decisions read it side by side, what is learned waits for them.
pub struct OgState {
    state: RwLock<State>,
}

/// Bytes that this library allocated; free them with `og_bytes_free`.
#[repr(C)]
#[derive(Debug)]
pub struct OgBytes {
    /// The first byte.
    pub data: *mut u8,
    /// How many.
    pub len: usize,
}

impl OgState {
    fn new(state: State) -> Self {
        Self { state: RwLock::new(state) }
    }

    /// The state, if it is these orders'.
    pub(crate) fn read(&self, orders: &OgOrders) -> Done<RwLockReadGuard<'_, State>> {
        let state = self.state.read().map_err(|_| broken())?;
        state.check_layout(orders.scorer().extractor()).map_err(as_status(OgStatus::State))?;
        Ok(state)
    }

    /// As [`Self::read`], to learn.
    pub(crate) fn write(&self, orders: &OgOrders) -> Done<RwLockWriteGuard<'_, State>> {
        let state = self.state.write().map_err(|_| broken())?;
        state.check_layout(orders.scorer().extractor()).map_err(as_status(OgStatus::State))?;
        Ok(state)
    }
}

fn broken() -> Failure {
    Failure::new(OgStatus::Internal, "state: a call that failed inside may have left it half changed; restore it")
}

/// A state without history: everybody is seen for the first time.
///
/// # Safety
/// `orders` came from `og_orders_new`; `out` has room for a pointer. Free the state with `og_state_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_state_new(orders: *const OgOrders, out: *mut *mut OgState) -> OgStatus {
    // SAFETY: as promised by the caller.
    call(|| unsafe { give(out, || Ok(OgState::new(get(orders, "orders")?.scorer().new_state()))) })
}

/// The state of a state file.
///
/// # Safety
/// `orders` came from `og_orders_new`; `bytes` points to `len` bytes; `out` has room for a pointer. Free the state with
/// `og_state_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_state_restore(
    orders: *const OgOrders,
    bytes: *const u8,
    len: usize,
    out: *mut *mut OgState,
) -> OgStatus {
    call(|| {
        // SAFETY: as promised by the caller.
        unsafe {
            give(out, || {
                let (orders, bytes) = (get(orders, "orders")?, slice(bytes, len, "bytes")?);
                orders.scorer().restore(bytes).map(OgState::new).map_err(as_status(OgStatus::State))
            })
        }
    })
}

/// The bytes of a state file. Other threads go on deciding and learning while they are written.
///
/// # Safety
/// `orders` and `state` are what they say; `out` has room. Free the bytes with `og_bytes_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_state_snapshot(
    orders: *const OgOrders,
    state: *const OgState,
    out: *mut OgBytes,
) -> OgStatus {
    call(|| {
        // SAFETY: as promised by the caller.
        let (orders, state, out) = unsafe { (get(orders, "orders")?, get(state, "state")?, get_mut(out, "out")?) };
        *out = OgBytes { data: std::ptr::null_mut(), len: 0 };
        let frozen = state.read(orders)?.freeze();
        let bytes = Box::leak(frozen.to_bytes(orders.scorer().extractor()).into_boxed_slice());
        *out = OgBytes { data: bytes.as_mut_ptr(), len: bytes.len() };
        Ok(())
    })
}

/// Frees bytes; null is nothing.
///
/// # Safety
/// `bytes` came from this library as they are and were not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_bytes_free(bytes: OgBytes) {
    if !bytes.data.is_null() {
        // SAFETY: as promised by the caller: pointer and length are those of a box that was leaked.
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(bytes.data, bytes.len)) });
    }
}

/// Frees a state; null is nothing.
///
/// # Safety
/// `state` came from this library, was not freed, and no other thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn og_state_free(state: *mut OgState) {
    // SAFETY: as promised by the caller.
    unsafe { free(state) }
}
