//! What a column's profile says about its values, in the shares and readings that the rules ask for.

use orderguard_features::schema::TimeFormat;

use super::words::Words;
use crate::profile::ColumnProfile;

/// Most levels a category may have.
const MAX_LEVELS: u64 = 1_000;
/// Most levels of a category that repeats a lot: those of at most 1 % of the rows.
const MAX_LEVELS_OF_MANY_ROWS: u64 = 10_000;
/// 2000-01-01 in epoch milliseconds: numbers are read as epoch times only from here on, as smaller ones are quantities.
const EPOCH_FROM: i64 = 946_684_800_000;
/// 2100-01-01 in epoch milliseconds.
const EPOCH_UNTIL: i64 = 4_102_444_800_000;

/// One column with what its name and its profile say.
pub(crate) struct Evidence<'a> {
    /// Name as in the header.
    pub(crate) name: &'a str,
    /// The name's words.
    pub(crate) words: Words,
    /// Counts.
    pub(crate) profile: &'a ColumnProfile,
    /// Rows of the data.
    pub(crate) n_rows: u64,
    /// Rows with a value.
    pub(crate) n_present: u64,
    /// Share of values that may not fit a reading.
    tolerance: f64,
}

/// How a column reads as points in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeReading {
    /// The reading.
    pub(crate) format: TimeFormat,
    /// How many values fit it.
    pub(crate) n_fit: u64,
    /// Whether month and day could as well stand the other way round.
    pub(crate) doubt: Option<DayMonthDoubt>,
}

/// Why month and day are not certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DayMonthDoubt {
    /// Both readings fit; the chosen one spans far less time, in whole days (chosen, other).
    DecidedBySpan(i64, i64),
    /// Both readings fit and nothing tells them apart.
    Open,
}

impl<'a> Evidence<'a> {
    pub(crate) fn of(profile: &'a ColumnProfile, n_rows: u64, tolerance: f64) -> Self {
        Self {
            name: &profile.name,
            words: Words::of(&profile.name),
            profile,
            n_rows,
            n_present: n_rows.saturating_sub(profile.n_missing),
            tolerance,
        }
    }

    /// Whether at least this share of the present values is counted in `n`; never where nothing is present.
    pub(crate) fn at_least(&self, n: u64, share: f64) -> bool {
        self.n_present > 0 && n as f64 >= share * self.n_present as f64
    }

    /// Whether all values but the few that may be rejected are numbers.
    pub(crate) fn is_number(&self) -> bool {
        self.at_least(self.profile.n_number, 1.0 - self.tolerance)
    }

    /// Whether all values but the few that may be rejected are whole numbers.
    pub(crate) fn is_integer(&self) -> bool {
        self.at_least(self.profile.n_integer, 1.0 - self.tolerance)
    }

    /// Whether there are more distinct values than were told apart.
    pub(crate) fn is_saturated(&self) -> bool {
        self.profile.has_more_distinct
    }

    /// Whether almost every present value is a different one, as far as distinct values were told apart. Numbers with decimals
    /// are measurements, however many there are.
    pub(crate) fn is_nearly_unique(&self, share: f64) -> bool {
        let are_measurements = 2 * self.profile.n_fraction >= self.n_present;
        if self.is_saturated() { !are_measurements } else { self.at_least(self.profile.n_distinct, share) }
    }

    /// Whether no more values are missing than rows may be rejected.
    pub(crate) fn is_rarely_missing(&self) -> bool {
        self.profile.n_missing as f64 <= self.tolerance * self.n_rows as f64
    }

    /// Whether the distinct values are few enough to be levels: at most 1,000 that repeat at least twice on average, or
    /// at most 10,000 that repeat a hundred times.
    pub(crate) fn has_few_levels(&self) -> bool {
        let n = self.profile.n_distinct;
        if self.is_saturated() {
            return false;
        }
        let few = n <= MAX_LEVELS && (n <= 10 || 2 * n <= self.n_present);
        few || (n <= MAX_LEVELS_OF_MANY_ROWS && 100 * n <= self.n_present)
    }

    /// Whether labels are in the values: words for fraud and honest, and nothing else but the few values that may be
    /// rejected. Those must be fewer than half of the frauds: codes 0, 1, 2, 3 of a rare kind are not labels.
    pub(crate) fn reads_as_label(&self) -> bool {
        let (fraud, honest) = self.profile.n_label;
        let unread = self.n_present.saturating_sub(fraud + honest);
        self.at_least(fraud + honest, 1.0 - self.tolerance) && (unread == 0 || 2 * unread < fraud)
    }

    /// The reading as times that at least `share` of the values fit, `None` where there is none. Numbers are taken as
    /// epoch times only where the caller says that the name allows it.
    pub(crate) fn time_reading(&self, share: f64, epoch_allowed: bool) -> Option<TimeReading> {
        let fit = |key: &str| self.profile.times.get(key).copied().filter(|&(n, _, _)| self.at_least(n, share));
        let certain = |format, n_fit| Some(TimeReading { format, n_fit, doubt: None });
        if let Some((n, _, _)) = fit("iso") {
            return certain(TimeFormat::Iso, n);
        }
        match (fit("month_day_year"), fit("day_month_year")) {
            (Some(mdy), Some(dmy)) if mdy.0 == dmy.0 => {
                let (mdy_span, dmy_span) = (mdy.2.saturating_sub(mdy.1), dmy.2.saturating_sub(dmy.1));
                let days = |span: i64| span / 86_400_000;
                // The wrong reading turns neighbouring days into neighbouring months, so it spans about thirty times
                // as much; four times is far from chance and from that.
                let (format, doubt) = if mdy_span.saturating_mul(4) < dmy_span {
                    (TimeFormat::MonthDayYear, DayMonthDoubt::DecidedBySpan(days(mdy_span), days(dmy_span)))
                } else if dmy_span.saturating_mul(4) < mdy_span {
                    (TimeFormat::DayMonthYear, DayMonthDoubt::DecidedBySpan(days(dmy_span), days(mdy_span)))
                } else {
                    (TimeFormat::MonthDayYear, DayMonthDoubt::Open)
                };
                return Some(TimeReading { format, n_fit: mdy.0, doubt: Some(doubt) });
            }
            (Some(mdy), Some(dmy)) if dmy.0 > mdy.0 => return certain(TimeFormat::DayMonthYear, dmy.0),
            (Some(mdy), _) => return certain(TimeFormat::MonthDayYear, mdy.0),
            (None, Some(dmy)) => return certain(TimeFormat::DayMonthYear, dmy.0),
            (None, None) => {}
        }
        if epoch_allowed {
            for (key, format) in
                [("epoch_seconds", TimeFormat::EpochSeconds), ("epoch_millis", TimeFormat::EpochMillis)]
            {
                if let Some((n, from, until)) = fit(key)
                    && from >= EPOCH_FROM
                    && until < EPOCH_UNTIL
                {
                    return certain(format, n);
                }
            }
        }
        None
    }

    /// The share of values that all but the rejected ones make.
    pub(crate) fn nearly_all(&self) -> f64 {
        1.0 - self.tolerance
    }

    /// "4,990 distinct values in 1,754,155 rows", the words of most reasons.
    pub(crate) fn distinct_in_words(&self) -> String {
        let more = if self.is_saturated() { "more than " } else { "" };
        let what = if self.profile.n_distinct == 1 { "value" } else { "values" };
        format!("{more}{} distinct {what} in {} rows", count(self.profile.n_distinct), count(self.n_rows))
    }
}

/// A number with commas between its thousands.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(n: u64, times: &[(&'static str, (u64, i64, i64))]) -> ColumnProfile {
        ColumnProfile { name: "t".into(), n_number: n, times: times.iter().copied().collect(), ..Default::default() }
    }

    fn reading(times: &[(&'static str, (u64, i64, i64))]) -> Option<TimeReading> {
        let p = profile(0, times);
        Evidence::of(&p, 100, 0.01).time_reading(0.99, true)
    }

    #[test]
    fn counts_read_well() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_754_155), "1,754,155");
    }

    #[test]
    fn the_order_of_day_and_month_follows_the_values() {
        const DAY: i64 = 86_400_000;
        let format = |times| reading(times).map(|r| (r.format, r.doubt));
        assert_eq!(
            format(&[("month_day_year", (100, 0, DAY)), ("day_month_year", (40, 0, DAY))]),
            Some((TimeFormat::MonthDayYear, None))
        );
        assert_eq!(
            format(&[("month_day_year", (99, 0, DAY)), ("day_month_year", (100, 0, DAY))]),
            Some((TimeFormat::DayMonthYear, None))
        );
        assert_eq!(
            format(&[("month_day_year", (100, 0, 300 * DAY)), ("day_month_year", (100, 0, 10 * DAY))]),
            Some((TimeFormat::DayMonthYear, Some(DayMonthDoubt::DecidedBySpan(10, 300))))
        );
        assert_eq!(
            format(&[("month_day_year", (100, 0, 12 * DAY)), ("day_month_year", (100, 0, 10 * DAY))]),
            Some((TimeFormat::MonthDayYear, Some(DayMonthDoubt::Open)))
        );
    }

    #[test]
    fn small_numbers_are_no_epoch_times() {
        assert_eq!(reading(&[("epoch_seconds", (100, 31_000, 15_000_000_000))]), None);
        let good = ("epoch_seconds", (100, 1_500_000_000_000, 1_600_000_000_000));
        assert_eq!(reading(&[good]).map(|r| r.format), Some(TimeFormat::EpochSeconds));
        let p = profile(0, &[good]);
        assert_eq!(Evidence::of(&p, 100, 0.01).time_reading(0.99, false), None);
    }

    #[test]
    fn rare_codes_are_no_labels() {
        let label = |fraud, honest| {
            let p = ColumnProfile { n_label: (fraud, honest), ..Default::default() };
            Evidence::of(&p, 1_000, 0.01).reads_as_label()
        };
        assert!(label(20, 980));
        assert!(label(100, 899), "one bad value among a hundred frauds");
        assert!(!label(2, 992), "six values of 2 and 3 beside two of 1");
        assert!(!label(10, 900));
    }
}
