//! Where C meets Rust: pointers become references, errors become codes and a message, and panics end.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What became of a call. Everything but `OG_STATUS_OK` leaves a message in `og_last_error`.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OgStatus {
    /// Done.
    Ok = 0,
    /// A pointer is null where something must stand.
    NullPointer = 1,
    /// A text is not UTF-8.
    NotText = 2,
    /// A row, an order or a buffer has another length than needed.
    Length = 3,
    /// A number means nothing: a kind of value, a decision, a language.
    Argument = 4,
    /// A file cannot be read.
    Io = 5,
    /// The bytes are no model, or one that contradicts itself.
    Model = 6,
    /// The bytes are no state, or one of another model.
    State = 7,
    /// Key, columns, tables or rules do not fit the model.
    Setup = 8,
    /// An order or event cannot be read.
    Order = 9,
    /// The model has not what this needs: a schema, or the training rows behind reasons.
    Unsupported = 10,
    /// A bug of ours was stopped at the border. What the call worked on must not be used again, but for being freed.
    Internal = 11,
}

/// Why a call failed.
pub(crate) struct Failure {
    status: OgStatus,
    message: String,
}

impl Failure {
    pub(crate) fn new(status: OgStatus, message: impl Display) -> Self {
        Self { status, message: message.to_string() }
    }
}

pub(crate) type Done<T = ()> = Result<T, Failure>;

/// Turns an error into a failure of this status.
pub(crate) fn as_status<E: Display>(status: OgStatus) -> impl Fn(E) -> Failure {
    move |error| Failure::new(status, error)
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// Remembers a message for [`og_last_error`].
pub(crate) fn remember(message: &str) {
    // A zero byte would end the message for C.
    let text = CString::new(message.replace('\0', "?")).unwrap_or_default();
    // Of a thread that is ending nobody asks.
    let _ = LAST_ERROR.try_with(|last| last.replace(text));
}

/// Runs a call: an error becomes a code and a message, and so does a panic.
pub(crate) fn call(run: impl FnOnce() -> Done) -> OgStatus {
    // What a call leaves half done after a panic is never used again: sessions are marked empty, a state's lock is poisoned.
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(())) => OgStatus::Ok,
        Ok(Err(failure)) => {
            remember(&failure.message);
            failure.status
        }
        Err(_) => {
            remember("a bug in orderguard was stopped here");
            OgStatus::Internal
        }
    }
}

/// Frees a handle. Its destructor cannot fail, but a panic in it must not reach C either.
///
/// # Safety
/// `handle` is null or came from `Box::into_raw` and was not freed.
pub(crate) unsafe fn free<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: as promised by the caller.
        let handle = unsafe { Box::from_raw(handle) };
        let _ = catch_unwind(AssertUnwindSafe(|| drop(handle)));
    }
}

/// The thing behind a pointer.
///
/// # Safety
/// `pointer` is null or points to a `T` that nobody changes while the reference lives.
pub(crate) unsafe fn get<'a, T>(pointer: *const T, name: &'static str) -> Done<&'a T> {
    // SAFETY: as promised by the caller.
    unsafe { pointer.as_ref() }.ok_or_else(|| null(name))
}

/// The thing behind a pointer, to be changed.
///
/// # Safety
/// `pointer` is null or points to a `T` that nobody else uses while the reference lives.
pub(crate) unsafe fn get_mut<'a, T>(pointer: *mut T, name: &'static str) -> Done<&'a mut T> {
    // SAFETY: as promised by the caller.
    unsafe { pointer.as_mut() }.ok_or_else(|| null(name))
}

/// `n` things in a row; none need a pointer where `n` is 0.
///
/// # Safety
/// `pointer` is null or points to `n` things that nobody changes while the slice lives.
pub(crate) unsafe fn slice<'a, T>(pointer: *const T, n: usize, name: &'static str) -> Done<&'a [T]> {
    fits::<T>(n, name)?;
    match (pointer.is_null(), n) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(null(name)),
        // SAFETY: as promised by the caller; the length in bytes was checked above.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts(pointer, n) }),
    }
}

/// As [`slice`], to be changed.
///
/// # Safety
/// `pointer` is null or points to `n` things that nobody else uses while the slice lives.
pub(crate) unsafe fn slice_mut<'a, T>(pointer: *mut T, n: usize, name: &'static str) -> Done<&'a mut [T]> {
    fits::<T>(n, name)?;
    match (pointer.is_null(), n) {
        (_, 0) => Ok(&mut []),
        (true, _) => Err(null(name)),
        // SAFETY: as promised by the caller; the length in bytes was checked above.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts_mut(pointer, n) }),
    }
}

/// A text that ends with a zero byte.
///
/// # Safety
/// `pointer` is null or points to bytes that end with a zero byte and that nobody changes while the text lives.
pub(crate) unsafe fn text<'a>(pointer: *const c_char, name: &'static str) -> Done<&'a str> {
    if pointer.is_null() {
        return Err(null(name));
    }
    // SAFETY: as promised by the caller.
    let bytes = unsafe { CStr::from_ptr(pointer) };
    bytes.to_str().map_err(|_| not_text(name))
}

/// Texts that end with a zero byte.
///
/// # Safety
/// As [`slice`] and, for each, [`text`].
pub(crate) unsafe fn texts<'a>(pointer: *const *const c_char, n: usize, name: &'static str) -> Done<Vec<&'a str>> {
    // SAFETY: as promised by the caller.
    unsafe { slice(pointer, n, name)?.iter().map(|&each| text(each, name)).collect() }
}

/// Puts a new handle where the caller wants it.
///
/// # Safety
/// `out` is null or points to room for a pointer.
pub(crate) unsafe fn give<T>(out: *mut *mut T, make: impl FnOnce() -> Done<T>) -> Done {
    // SAFETY: as promised by the caller.
    let out = unsafe { get_mut(out, "out") }?;
    *out = std::ptr::null_mut();
    *out = Box::into_raw(Box::new(make()?));
    Ok(())
}

pub(crate) fn null(name: &'static str) -> Failure {
    Failure::new(OgStatus::NullPointer, format_args!("{name}: expected a pointer, found null"))
}

pub(crate) fn not_text(name: &'static str) -> Failure {
    Failure::new(OgStatus::NotText, format_args!("{name}: expected UTF-8"))
}

/// Slices of more bytes than there are addresses cannot be; a length that was read from the wrong place can.
fn fits<T>(n: usize, name: &'static str) -> Done {
    match n.checked_mul(size_of::<T>()) {
        Some(bytes) if isize::try_from(bytes).is_ok() => Ok(()),
        _ => Err(Failure::new(OgStatus::Length, format_args!("{name}: expected a length, found {n}"))),
    }
}

/// Copies a text and a zero byte into a buffer of the caller's.
///
/// # Safety
/// As [`slice_mut`].
pub(crate) unsafe fn copy_text(text: &str, buffer: *mut c_char, len: usize) -> Done {
    // SAFETY: as promised by the caller; c_char and u8 are both one byte.
    let buffer = unsafe { slice_mut(buffer.cast::<u8>(), len, "buffer") }?;
    let needed = text.len() + 1;
    if buffer.len() < needed {
        let message = format!("buffer: expected room for {needed} bytes, found {len}");
        return Err(Failure::new(OgStatus::Length, message));
    }
    buffer[..text.len()].copy_from_slice(text.as_bytes());
    buffer[text.len()] = 0;
    Ok(())
}

/// The version of the library, such as `0.1.0`; lives for ever.
#[unsafe(no_mangle)]
pub extern "C" fn og_version() -> *const c_char {
    const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version has no zero byte"),
    };
    VERSION.as_ptr()
}

/// What the last call that failed in this thread had to say: what was expected and what was found, never a value of an order.
/// Empty before the first failure. Lives until the next call in this thread.
#[unsafe(no_mangle)]
pub extern "C" fn og_last_error() -> *const c_char {
    LAST_ERROR.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_error() -> String {
        // SAFETY: the message ends with a zero byte and is not changed before it is copied.
        unsafe { CStr::from_ptr(og_last_error()) }.to_string_lossy().into_owned()
    }

    #[test]
    fn panics_stop_at_the_border() {
        assert_eq!(call(|| panic!("on purpose")), OgStatus::Internal);
        assert_eq!(last_error(), "a bug in orderguard was stopped here");
        assert_eq!(call(|| Ok(())), OgStatus::Ok);
        assert_eq!(last_error(), "a bug in orderguard was stopped here");
        assert_eq!(call(|| Err(Failure::new(OgStatus::Order, "a\0b"))), OgStatus::Order);
        assert_eq!(last_error(), "a?b");
        let other = std::thread::spawn(last_error).join().unwrap();
        assert_eq!(other, "");
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        let number = 1.0f64;
        // SAFETY: no slice is made of these lengths.
        let found = unsafe { slice(&raw const number, usize::MAX, "rows") };
        assert_eq!(found.map_err(|failure| failure.status), Err(OgStatus::Length));
        // SAFETY: a null pointer is allowed, and one number stands behind the other.
        unsafe {
            assert_eq!(slice::<f64>(std::ptr::null(), 0, "rows").map_err(|failure| failure.status), Ok(&[][..]));
            let status = slice::<f64>(std::ptr::null(), 1, "rows").map_err(|failure| failure.status);
            assert_eq!(status, Err(OgStatus::NullPointer));
            assert_eq!(slice(&raw const number, 1, "rows").map_err(|failure| failure.status), Ok(&[1.0][..]));
        }
    }

    #[test]
    fn texts_need_room_for_their_end() {
        let mut buffer = [7u8; 4];
        for (len, status) in [(4, Ok(())), (3, Err(OgStatus::Length)), (0, Err(OgStatus::Length))] {
            // SAFETY: the buffer holds that many bytes.
            let done = unsafe { copy_text("abc", buffer.as_mut_ptr().cast(), len) };
            assert_eq!(done.map_err(|failure| failure.status), status);
        }
        assert_eq!(buffer, *b"abc\0");
    }
}
