//! Numbers as people read them.

use crate::report::IsoTime;

pub(crate) const NOT_DEFINED: &str = "n/a";

/// `1,754,155`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share as a percentage with the digits that tell: `0.837 %`, `12.4 %`, `100 %`.
pub(crate) fn percent(share: Option<f64>) -> String {
    let Some(share) = share.filter(|share| share.is_finite()) else { return NOT_DEFINED.to_owned() };
    let value = share * 100.0;
    match value {
        0.0 => "0 %".to_owned(),
        100.0 => "100 %".to_owned(),
        v if v < 0.9995 => format!("{v:.3} %"),
        v if !(9.995..=99.0).contains(&v) => format!("{v:.2} %"),
        v => format!("{v:.1} %"),
    }
}

/// A figure from 0 to 1 with four digits.
pub(crate) fn figure(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map_or_else(|| NOT_DEFINED.to_owned(), |value| format!("{value:.4}"))
}

/// `EUR 33,120.50`; whole amounts and those from a million up without decimals.
pub(crate) fn money(amount: f64, currency: Option<&str>) -> String {
    if !amount.is_finite() {
        return NOT_DEFINED.to_owned();
    }
    let cents = (amount.abs() * 100.0).round();
    let (whole, rest) = ((cents / 100.0).floor(), cents % 100.0);
    let sign = if amount < 0.0 { "-" } else { "" };
    let number = if rest == 0.0 || whole >= 1e6 {
        format!("{sign}{}", count(amount.abs().round() as u64))
    } else {
        format!("{sign}{}.{rest:02.0}", count(whole as u64))
    };
    currency.map_or(number.clone(), |currency| format!("{currency} {number}"))
}

/// `2018-04-01 00:00`, in UTC.
pub(crate) fn minute(time: Option<IsoTime>) -> String {
    time.map_or_else(
        || NOT_DEFINED.to_owned(),
        |time| time.to_string().chars().take(16).collect::<String>().replace('T', " "),
    )
}

/// `2018-04-01`.
pub(crate) fn day(time: IsoTime) -> String {
    time.to_string().chars().take(10).collect()
}

/// `0.04 s`, `12.3 s`, `3 min 05 s`.
pub(crate) fn seconds(value: f64) -> String {
    match value {
        v if !v.is_finite() || v < 0.0 => NOT_DEFINED.to_owned(),
        v if v < 9.995 => format!("{v:.2} s"),
        v if v < 119.95 => format!("{v:.1} s"),
        v => format!("{} min {:02} s", v.round() as u64 / 60, v.round() as u64 % 60),
    }
}

/// `512 MB`, `1.4 GB` (powers of ten).
pub(crate) fn bytes(n: u64) -> String {
    if n < 1_000_000_000 { format!("{:.0} MB", n as f64 / 1e6) } else { format!("{:.1} GB", n as f64 / 1e9) }
}

/// `1 order`, `2 orders`.
pub(crate) fn counted(n: u64, one: &str) -> String {
    format!("{} {one}{}", count(n), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_read_them() {
        assert_eq!([count(0), count(999), count(1_000), count(1_754_155)], ["0", "999", "1,000", "1,754,155"]);
        for (share, shown) in [
            (0.0, "0 %"),
            (0.00005, "0.005 %"),
            (0.00837, "0.837 %"),
            (0.1244, "12.4 %"),
            (0.9996, "99.96 %"),
            (0.0112, "1.12 %"),
            (1.0, "100 %"),
        ] {
            assert_eq!(percent(Some(share)), shown);
        }
        assert_eq!([percent(None), percent(Some(f64::NAN)), figure(None)], ["n/a"; 3]);
        assert_eq!(money(33_120.5, Some("EUR")), "EUR 33,120.50");
        assert_eq!([money(-0.999, None), money(1_234_567.891, None), money(20.0, None)], ["-1", "1,234,568", "20"]);
        assert_eq!([seconds(0.041), seconds(12.34), seconds(185.2)], ["0.04 s", "12.3 s", "3 min 05 s"]);
        assert_eq!([bytes(512_400_000), bytes(1_440_000_000)], ["512 MB", "1.4 GB"]);
        assert_eq!([counted(1, "order"), counted(1_000, "order")], ["1 order", "1,000 orders"]);
    }
}
