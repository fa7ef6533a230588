//! Fields as text, without the detour through `fmt`: a million orders are half a gigabyte.

use std::net::Ipv4Addr;

use orderguard_features::time::UnixMillis;

use crate::order::{Address, Card, CustomerId, DeviceId, Phone, UserAgent};
use crate::world;

/// Lines under construction. Every method but [`Text::end`] appends one field and a comma.
pub(super) struct Text<'a>(pub(super) &'a mut Vec<u8>);

impl Text<'_> {
    /// Puts a line's end in the place of the last comma.
    pub(super) fn end(&mut self) {
        if let Some(last) = self.0.last_mut() {
            *last = b'\n';
        }
    }

    /// `n` empty fields.
    pub(super) fn nothing(&mut self, n: usize) {
        self.0.extend(std::iter::repeat_n(b',', n));
    }

    pub(super) fn word(&mut self, word: &str) {
        self.part(word);
        self.0.push(b',');
    }

    pub(super) fn number(&mut self, number: u64) {
        self.digits(number);
        self.0.push(b',');
    }

    pub(super) fn maybe(&mut self, number: Option<u64>) {
        match number {
            Some(number) => self.number(number),
            None => self.0.push(b','),
        }
    }

    /// 0, 1 or nothing.
    pub(super) fn flag(&mut self, flag: Option<bool>) {
        self.maybe(flag.map(u64::from));
    }

    /// `2024-01-31T12:00:00Z`.
    pub(super) fn time(&mut self, time: UnixMillis) {
        let seconds = time.0.div_euclid(1_000);
        let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400) as u32);
        let (year, month, day) = civil(day);
        let mut field = *b"0000-00-00T00:00:00Z,";
        let mut two = |at: usize, value: u32| {
            field[at] = b'0' + (value / 10 % 10) as u8;
            field[at + 1] = b'0' + (value % 10) as u8;
        };
        two(0, year / 100);
        two(2, year % 100);
        two(5, month);
        two(8, day);
        two(11, second / 3_600);
        two(14, second / 60 % 60);
        two(17, second % 60);
        self.0.extend_from_slice(&field);
    }

    pub(super) fn maybe_time(&mut self, time: Option<UnixMillis>) {
        match time {
            Some(time) => self.time(time),
            None => self.0.push(b','),
        }
    }

    /// Cents as units with two decimals; amounts are never negative.
    pub(super) fn money(&mut self, cents: Option<i64>) {
        if let Some(cents) = cents {
            let cents = cents.unsigned_abs();
            self.digits(cents / 100);
            self.0.push(b'.');
            self.padded(cents % 100, 2);
        }
        self.0.push(b',');
    }

    /// A coordinate with three decimals.
    pub(super) fn thousandths(&mut self, value: i32) {
        if value < 0 {
            self.0.push(b'-');
        }
        let value = u64::from(value.unsigned_abs());
        self.digits(value / 1_000);
        self.0.push(b'.');
        self.padded(value % 1_000, 3);
        self.0.push(b',');
    }

    pub(super) fn hexadecimal(&mut self, value: u64, n_digits: u32) {
        self.hex(value, n_digits);
        self.0.push(b',');
    }

    pub(super) fn customer(&mut self, id: CustomerId) {
        self.0.push(b'C');
        self.hexadecimal(u64::from(id.0), 8);
    }

    pub(super) fn device(&mut self, device: Option<DeviceId>) {
        match device {
            Some(device) => self.hexadecimal(device.0, 10),
            None => self.0.push(b','),
        }
    }

    pub(super) fn card(&mut self, card: &Card) {
        self.part("tok_");
        self.hexadecimal(card.token, 10);
    }

    pub(super) fn phone(&mut self, phone: Option<Phone>) {
        if let Some(phone) = phone {
            self.0.push(b'+');
            self.digits(u64::from(phone.prefix));
            if phone.is_cut {
                self.padded(u64::from(phone.rest % 100), 2);
            } else {
                self.part("55501");
                self.padded(u64::from(phone.rest), 6);
            }
        }
        self.0.push(b',');
    }

    pub(super) fn user_agent(&mut self, agent: Option<UserAgent>) {
        if let Some(agent) = agent {
            let (before, after) = agent.parts();
            self.part(before);
            self.digits(u64::from(agent.version));
            self.part(after);
        }
        self.0.push(b',');
    }

    pub(super) fn ip(&mut self, ip: Ipv4Addr) {
        for (i, octet) in ip.octets().into_iter().enumerate() {
            if i > 0 {
                self.0.push(b'.');
            }
            self.digits(u64::from(octet));
        }
        self.0.push(b',');
    }

    pub(super) fn address(&mut self, place: &Address) {
        for syllable in world::street_syllables(place.street) {
            self.part(syllable);
        }
        self.0.push(b' ');
        self.digits(u64::from(place.house));
        if place.flat > 0 {
            self.0.push(b'/');
            self.digits(u64::from(place.flat));
        }
        self.0.push(b' ');
        self.padded(u64::from(place.postcode), 5);
        self.0.push(b' ');
        self.word(place.country);
    }

    pub(super) fn region(&mut self, place: &Address) {
        self.part(place.country);
        self.0.push(b'-');
        self.number(u64::from(place.region));
    }

    pub(super) fn postcode(&mut self, postcode: u32) {
        self.padded(u64::from(postcode), 5);
        self.0.push(b',');
    }

    fn part(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn digits(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.0.extend_from_slice(&digits[at..]);
    }

    /// With leading zeros; higher digits are cut off.
    fn padded(&mut self, number: u64, n_digits: u32) {
        for i in (0..n_digits).rev() {
            self.0.push(b'0' + (number / 10_u64.pow(i) % 10) as u8);
        }
    }

    fn hex(&mut self, value: u64, n_digits: u32) {
        for i in (0..n_digits).rev() {
            self.0.push(b"0123456789abcdef"[(value >> (4 * i) & 15) as usize]);
        }
    }
}

/// Year, month and day of the Gregorian calendar of a day since 1970 in the years 0 to 9999 (Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", 2014).
fn civil(day: i64) -> (u32, u32, u32) {
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year as u32, month as u32, day as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(write: impl FnOnce(&mut Text<'_>)) -> String {
        let mut bytes = Vec::new();
        write(&mut Text(&mut bytes));
        assert_eq!(bytes.pop(), Some(b','));
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn fields_are_those_of_the_display_forms() {
        for millis in [-2_000_000_000_000, -1_000, 0, 951_782_400_000, 1_709_164_799_000, 4_107_542_400_000] {
            let time = UnixMillis(millis);
            assert_eq!(field(|text| text.time(time)), time.to_string());
        }
        for (prefix, rest, is_cut) in [(49, 7, false), (1, 999_999, false), (40, 123_456, true)] {
            let phone = Phone { prefix, rest, is_cut };
            assert_eq!(field(|text| text.phone(Some(phone))), phone.to_string());
        }
        let device = DeviceId(0xab);
        assert_eq!(field(|text| text.device(Some(device))), device.to_string());
        let card = Card { token: 0x12_3456_789a, bin: 990_001, country: "DE" };
        assert_eq!(field(|text| text.card(&card)), card.to_string());
        assert_eq!(field(|text| text.customer(CustomerId(0xf0))), CustomerId(0xf0).to_string());
        let place = Address {
            country: "PL",
            region: 2,
            postcode: 10_097,
            latitude: -1,
            longitude: 12_003,
            street: 700,
            house: 3,
            flat: 9,
        };
        assert_eq!(field(|text| text.address(&place)), place.to_string());
        assert_eq!(field(|text| text.region(&place)), "PL-2");
        assert_eq!(field(|text| text.thousandths(place.latitude)), "-0.001");
        assert_eq!(field(|text| text.thousandths(place.longitude)), "12.003");
        for device in 0..200 {
            let agent = UserAgent::of(device, 1_700_000_000);
            assert_eq!(field(|text| text.user_agent(Some(agent))), agent.to_string());
        }
        let ip = Ipv4Addr::new(240, 0, 10, 255);
        assert_eq!(field(|text| text.ip(ip)), ip.to_string());
    }

    #[test]
    fn numbers_are_written_in_full() {
        assert_eq!(field(|text| text.number(0)), "0");
        assert_eq!(field(|text| text.number(u64::MAX)), u64::MAX.to_string());
        assert_eq!(field(|text| text.money(Some(100_005))), "1000.05");
        assert_eq!(field(|text| text.money(None)), "");
        assert_eq!(field(|text| text.flag(Some(true))), "1");
        assert_eq!(field(|text| text.nothing(3)), ",,");
        assert_eq!(field(|text| text.hexadecimal(0xff, 4)), "00ff");
    }
}
