//! Whole numbers in as many bytes as they need: seven bits each, the lowest first, bit 7 set on all but the last (LEB128).

use crate::container::SectionReader;
use crate::kernel::HistoryError;

/// Appends a number.
pub(crate) fn put(out: &mut Vec<u8>, number: u64) {
    let mut rest = number;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends a number of either sign, see [`zigzag`].
pub(crate) fn put_signed(out: &mut Vec<u8>, number: i64) {
    put(out, zigzag(number));
}

/// Numbers of either sign as those of none, small ones small: 0, -1, 1, -2, ...
pub(crate) fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

/// The contrary of [`zigzag`].
pub(crate) fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Reads a number; each has one spelling.
pub(crate) fn get(reader: &mut SectionReader<'_>) -> Result<u64, HistoryError> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = reader.u8()?;
        if shift > 0 && byte == 0 || shift == 63 && byte > 1 {
            break;
        }
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(invalid(reader, "a number in as few bytes as it needs"))
}

/// Reads a number of either sign.
pub(crate) fn get_signed(reader: &mut SectionReader<'_>) -> Result<i64, HistoryError> {
    Ok(unzigzag(get(reader)?))
}

/// An error at the place that was read last.
pub(crate) fn invalid(reader: &SectionReader<'_>, expected: &'static str) -> HistoryError {
    HistoryError::Invalid { offset: reader.offset(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_and_have_one_spelling() {
        let numbers = [0, 1, 127, 128, 300, 1 << 20, i64::MAX as u64, u64::MAX - 1, u64::MAX];
        let mut out = Vec::new();
        for number in numbers {
            put(&mut out, number);
            put_signed(&mut out, number as i64);
        }
        let mut reader = SectionReader::new(*b"TEST", &out);
        for number in numbers {
            assert_eq!(get(&mut reader), Ok(number));
            assert_eq!(get_signed(&mut reader), Ok(number as i64));
        }
        reader.finish().unwrap();
        for bad in [&[0x80, 0][..], &[0xFF, 0x80, 0], &[0xFF; 10], &[0x80; 3], &[]] {
            assert!(get(&mut SectionReader::new(*b"TEST", bad)).is_err());
        }
        let mut small = Vec::new();
        put_signed(&mut small, -64);
        assert_eq!(small.len(), 1);
    }
}
