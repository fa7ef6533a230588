//! One simulated order as a shop would export it, with what really happened beside it.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

use orderguard_features::time::UnixMillis;

use crate::world;

/// What a dishonest customer does. The default shares are those of the domain brief: chargebacks 30 %, false orders 25 %,
/// stolen cards 20 %, takeovers 15 %, the rest 10 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FraudKind {
    /// Buys, receives the goods and has the payment charged back; often again, often a regular customer.
    Chargeback,
    /// A false identity orders on invoice or cash on delivery and never pays.
    FakeOrder,
    /// Somebody else's card: a few small charges to see whether it works, then goods that are easy to sell.
    StolenCard,
    /// An old account in strange hands: new device, new address, dear goods.
    AccountTakeover,
    /// Returns used or swapped goods, or claims that nothing came.
    RefundAbuse,
    /// Many accounts of one person, each with the voucher for new customers.
    CouponAbuse,
    /// A program buys special offers for resale.
    Bot,
}

impl FraudKind {
    /// Every kind, in the order of their shares.
    pub const ALL: [Self; 7] = [
        Self::Chargeback,
        Self::FakeOrder,
        Self::StolenCard,
        Self::AccountTakeover,
        Self::RefundAbuse,
        Self::CouponAbuse,
        Self::Bot,
    ];

    /// The name in the column `fraud_kind`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chargeback => "chargeback",
            Self::FakeOrder => "fake_order",
            Self::StolenCard => "stolen_card",
            Self::AccountTakeover => "account_takeover",
            Self::RefundAbuse => "refund_abuse",
            Self::CouponAbuse => "coupon_abuse",
            Self::Bot => "bot",
        }
    }

    /// Position in [`FraudKind::ALL`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// Share of all dishonest orders after the drift; the shares sum to 1.
    pub fn share_after_drift(self) -> f64 {
        [0.22, 0.14, 0.12, 0.28, 0.08, 0.10, 0.06][self.index()]
    }

    /// Share of all dishonest orders, before any drift; the shares sum to 1.
    pub fn share(self) -> f64 {
        match self {
            Self::Chargeback => 0.30,
            Self::FakeOrder => 0.25,
            Self::StolenCard => 0.20,
            Self::AccountTakeover => 0.15,
            Self::RefundAbuse => 0.04,
            Self::CouponAbuse | Self::Bot => 0.03,
        }
    }
}

impl fmt::Display for FraudKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An account number; written `C` and eight hexadecimal digits, which say nothing about the account's age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CustomerId(pub u32);

impl fmt::Display for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "C{:08x}", self.0)
    }
}

/// A browser or telephone as the shop recognises it; written as ten hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeviceId(pub u64);

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010x}", self.0)
    }
}

/// A payment card as payment providers let shops keep it: a token, with the issuer number and country beside it. The
/// issuer numbers start with 99 and are made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Card {
    /// Stands for the number; 40 bits, written as `tok_` and ten hexadecimal digits.
    pub token: u64,
    /// The issuer number: the first six digits.
    pub bin: u32,
    /// Country of the issuer, ISO 3166 letters.
    pub country: &'static str,
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tok_{:010x}", self.token)
    }
}

/// A made-up telephone number: `rest` follows the country prefix and the digits 55501, after the American numbers for
/// films. A mistyped one lacks most of its digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Phone {
    /// The country's dialling prefix.
    pub prefix: u16,
    /// The last six digits.
    pub rest: u32,
    /// Whether the customer wrote only the last two digits.
    pub is_cut: bool,
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_cut {
            write!(f, "+{}{:02}", self.prefix, self.rest % 100)
        } else {
            write!(f, "+{}55501{:06}", self.prefix, self.rest)
        }
    }
}

/// A place that bills and parcels go to. Streets are made from syllables, towns are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// ISO 3166 letters.
    pub country: &'static str,
    /// Part of the country, 1 to 6.
    pub region: u8,
    /// Five digits.
    pub postcode: u32,
    /// Of the town: degrees north in thousandths.
    pub latitude: i32,
    /// Of the town: degrees east in thousandths.
    pub longitude: i32,
    /// Names the street, through syllables.
    pub street: u16,
    /// House number.
    pub house: u16,
    /// Flat number, 0 where the house has one door.
    pub flat: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = world::street_syllables(self.street);
        write!(f, "{a}{b}{c} {}", self.house)?;
        if self.flat > 0 {
            write!(f, "/{}", self.flat)?;
        }
        write!(f, " {:05} {}", self.postcode, self.country)
    }
}

/// Where a table of network addresses would say that one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IpPlace {
    /// ISO 3166 letters.
    pub country: &'static str,
    /// Degrees north in thousandths.
    pub latitude: i32,
    /// Degrees east in thousandths.
    pub longitude: i32,
}

impl IpPlace {
    /// The place of a simulated address: at home near the home, of a mobile network the country's middle, of a hiding
    /// network wherever its computers stand.
    pub fn of(ip: Ipv4Addr) -> Self {
        let (country, latitude, longitude) = world::place_of_ip(ip);
        Self { country: world::COUNTRIES[country].code, latitude, longitude }
    }
}

/// What a browser or app says of itself: a pattern that goes with the device, and a version that rises with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UserAgent {
    /// Position of the pattern.
    pub pattern: u8,
    /// Version of the browser.
    pub version: u16,
}

impl UserAgent {
    /// Before and after the version, in proportion to [`UserAgent::WEIGHTS`]; the last three are programs.
    const PATTERNS: [(&'static str, &'static str); 10] = [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML like Gecko) Chrome/",
            ".0.0.0 Safari/537.36",
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML like Gecko) Chrome/",
            ".0.0.0 Mobile Safari/537.36",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML like Gecko) Version/17.",
            " Mobile/15E148 Safari/604.1",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML like Gecko) Version/17.",
            " Safari/605.1.15",
        ),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:109.0) Gecko/20100101 Firefox/", ".0"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML like Gecko) Chrome/120.0.0.0 \
             Safari/537.36 Edg/",
            ".0.0.0",
        ),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/", ".0"),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML like Gecko) HeadlessChrome/",
            ".0.0.0 Safari/537.36",
        ),
        ("python-requests/2.", ".0"),
        ("Go-http-client/", ".1"),
    ];
    /// How common each pattern is among devices, in 256ths.
    const WEIGHTS: [u8; 10] = [84, 62, 48, 22, 18, 16, 4, 1, 1, 0];

    /// The agent of a device at an instant.
    pub(crate) fn of(device: u64, second: i64) -> Self {
        let hash = world::scramble(device ^ 0x5bd1_e995);
        let mut rest = (hash & 0xff) as u8;
        let mut pattern = 0;
        while pattern < Self::WEIGHTS.len() - 1 && rest >= Self::WEIGHTS[pattern] {
            rest -= Self::WEIGHTS[pattern];
            pattern += 1;
        }
        Self::with(pattern as u8, (hash >> 8) % 3, second)
    }

    /// A program's agent.
    pub(crate) fn program(choice: u64, second: i64) -> Self {
        Self::with(7 + (choice % 3) as u8, 0, second)
    }

    fn with(pattern: u8, behind: u64, second: i64) -> Self {
        // A new version every four weeks, 120 on 2024-01-01; some devices are one or two behind.
        let version = (120 + (second - 1_704_067_200).div_euclid(28 * 86_400)).clamp(60, 999) as u16 - behind as u16;
        let version = if matches!(pattern, 2 | 3 | 8 | 9) { version % 10 } else { version };
        Self { pattern, version }
    }

    /// The text before the version, and after it.
    pub(crate) fn parts(self) -> (&'static str, &'static str) {
        Self::PATTERNS[usize::from(self.pattern) % Self::PATTERNS.len()]
    }
}

impl fmt::Display for UserAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = self.parts();
        write!(f, "{before}{}{after}", self.version)
    }
}

/// One order. Amounts are exact cents of its currency; `None` is what the shop did not receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedOrder {
    /// Running number of the event.
    pub event_id: u64,
    /// Running number of the order.
    pub order_id: u64,
    /// When it was placed, whole seconds, and known at once; the stream never goes back.
    pub time: UnixMillis,
    /// The account.
    pub customer_id: CustomerId,
    /// When the account was opened, at or before `time`.
    pub signup_time: UnixMillis,
    /// Name given with the order.
    pub name: Arc<str>,
    /// E-mail address, under a domain that is set aside for examples.
    pub email: Arc<str>,
    /// Telephone number.
    pub phone: Option<Phone>,
    /// Device, where the customer lets the shop see one.
    pub device: Option<DeviceId>,
    /// What the browser says of itself; absent outside web and app.
    pub user_agent: Option<UserAgent>,
    /// Network address; orders by telephone have none. Those of 240.0.0.0/4 and 100.64.0.0/10 belong to nobody.
    pub ip: Option<Ipv4Addr>,
    /// Card, for payments by card.
    pub card: Option<Card>,
    /// Where the bill goes.
    pub billing: Address,
    /// Where the goods go.
    pub shipping: Address,
    /// How it is paid.
    pub payment_method: &'static str,
    /// What most of the basket is.
    pub category: &'static str,
    /// Names what is in the basket: equal baskets have equal ones.
    pub basket: u32,
    /// Value in cents of `currency`, delivery included and voucher taken off.
    pub amount_cents: i64,
    /// ISO 4217 letters.
    pub currency: &'static str,
    /// Number of pieces.
    pub n_items: u32,
    /// Voucher code.
    pub coupon: Option<&'static str>,
    /// Where it was placed: web, app, phone or marketplace.
    pub channel: &'static str,
    /// Whether the customer is a business.
    pub is_business: bool,
    /// Whether the goods were on special offer.
    pub special_offer: bool,
    /// Seconds from the start of the visit to the order; absent outside web and app.
    pub session_seconds: Option<u32>,
    /// What the shop believes when the labels are read out: `Some(true)` = fraud; `None` = not decided.
    pub label: Option<bool>,
    /// When the shop learned it: always for fraud; for honest orders only where somebody looked.
    pub label_time: Option<UnixMillis>,
    /// The cause that the shop writes down with a fraud label; known only later.
    pub fraud_kind: Option<FraudKind>,
    /// What really happened, which no shop ever sees: `None` = honest. Not written to files.
    pub truth: Option<FraudKind>,
}
