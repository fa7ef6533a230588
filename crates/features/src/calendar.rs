//! Local hour and weekday of an instant.

use jiff::tz::TimeZone;

use crate::schema::SchemaError;
use crate::time::UnixMillis;

/// The zone of that IANA name; `None` for UTC, which needs no table.
pub(crate) fn zone(name: &str) -> Result<Option<TimeZone>, SchemaError> {
    if name.eq_ignore_ascii_case("utc") {
        return Ok(None);
    }
    TimeZone::get(name).map(Some).map_err(|_| SchemaError::UnknownTimezone { found: name.to_owned() })
}

/// Tells local time in one zone.
#[derive(Clone, Debug)]
pub struct LocalClock {
    zone: Option<TimeZone>,
}

/// The local time of an instant, as far as features use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// 0 to 23.
    pub hour: u8,
    /// 0 = Monday to 6 = Sunday.
    pub weekday: u8,
}

impl LocalTime {
    /// Whether the hour is 0 to 6, the night of the Fraud Detection Handbook.
    pub fn is_night(self) -> bool {
        self.hour <= 6
    }

    /// Whether it is Saturday or Sunday.
    pub fn is_weekend(self) -> bool {
        self.weekday >= 5
    }
}

impl LocalClock {
    /// A clock of the zone with that IANA name.
    pub fn new(timezone: &str) -> Result<Self, SchemaError> {
        Ok(Self { zone: zone(timezone)? })
    }

    /// Local time at an instant.
    pub fn at(&self, time: UnixMillis) -> LocalTime {
        let offset_ms = self.zone.as_ref().map_or(0, |zone| {
            jiff::Timestamp::from_millisecond(time.0).map_or(0, |ts| i64::from(zone.to_offset(ts).seconds()) * 1_000)
        });
        let local = time.0.saturating_add(offset_ms);
        let day = local.div_euclid(86_400_000);
        LocalTime {
            hour: (local.rem_euclid(86_400_000) / 3_600_000) as u8,
            // 1970-01-01 was a Thursday.
            weekday: (day + 3).rem_euclid(7) as u8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weekday_and_hour_in_two_zones() {
        let sunday = UnixMillis(1_522_540_831_000); // 2018-04-01T00:00:31Z
        assert_eq!(LocalClock::new("UTC").unwrap().at(sunday), LocalTime { hour: 0, weekday: 6 });
        let new_york = LocalClock::new("America/New_York").unwrap().at(sunday);
        assert_eq!(new_york, LocalTime { hour: 20, weekday: 5 });
        assert!(new_york.is_weekend() && !new_york.is_night());
        assert_eq!(LocalClock::new("UTC").unwrap().at(UnixMillis(-1)), LocalTime { hour: 23, weekday: 2 });
    }
}
