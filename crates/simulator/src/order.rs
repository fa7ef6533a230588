//! One simulated order as a shop would export it, with what really happened beside it.

use std::fmt;
use std::net::Ipv4Addr;

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

    /// Share of all dishonest orders; the shares sum to 1.
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

/// A payment card as shops may keep it: issuer number and last four digits. The issuer numbers start with 99 and are made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Card {
    /// The first six digits.
    pub bin: u32,
    /// The last four digits.
    pub last_four: u16,
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}******{:04}", self.bin, self.last_four)
    }
}

/// A made-up telephone number: `rest` follows the country prefix and the digits 55501, after the American numbers for films.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Phone {
    /// The country's dialling prefix.
    pub prefix: u16,
    /// The last six digits.
    pub rest: u32,
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}55501{:06}", self.prefix, self.rest)
    }
}

/// A place that bills and parcels go to. Streets are made from syllables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// ISO 3166 letters.
    pub country: &'static str,
    /// Five digits.
    pub postcode: u32,
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

/// One order. Amounts are exact cents of [`crate::CURRENCY`]; `None` is what the shop did not receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedOrder {
    /// Running number.
    pub order_id: u64,
    /// When it was placed, whole seconds; the stream never goes back.
    pub time: UnixMillis,
    /// The account.
    pub customer_id: CustomerId,
    /// When the account was opened, at or before `time`.
    pub signup_time: UnixMillis,
    /// E-mail address, under a domain that is set aside for examples.
    pub email: String,
    /// Telephone number.
    pub phone: Option<Phone>,
    /// Device, where the customer lets the shop see one.
    pub device: Option<DeviceId>,
    /// Network address; orders by telephone have none. Those of 240.0.0.0/4 and 100.64.0.0/10 belong to nobody.
    pub ip: Option<Ipv4Addr>,
    /// Card, for payments by card.
    pub card: Option<Card>,
    /// Country of the card's issuer, for payments by card.
    pub card_country: Option<&'static str>,
    /// Where the bill goes.
    pub billing: Address,
    /// Where the goods go.
    pub shipping: Address,
    /// How it is paid.
    pub payment_method: &'static str,
    /// What most of the basket is.
    pub category: &'static str,
    /// Value in cents, delivery included and voucher taken off.
    pub amount_cents: i64,
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
