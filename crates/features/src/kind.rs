//! The kinds of events that a shop's stream may hold. Only orders are scored; everything else is history.

use std::fmt;

/// What happened. The text form, used in files and in features, is in snake case (`payment_failed`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum EventKind {
    /// A customer placed an order: the thing that is scored.
    #[default]
    Order,
    /// A payment was refused.
    PaymentFailed,
    /// Goods came back.
    Return,
    /// Money was given back.
    Refund,
    /// The customer asked for money back.
    RefundClaim,
    /// The card holder's bank took the money back. With an order id it is also that order's fraud label.
    Chargeback,
    /// An order was cancelled.
    Cancel,
    /// The customer wrote or called.
    Contact,
    /// Somebody logged in to an account.
    Login,
    /// An account was opened.
    Signup,
    /// A review was written.
    Review,
    /// An identity, an e-mail address or a phone number was confirmed.
    Verification,
    /// The payment details of an account or order were changed.
    PaymentChange,
    /// Somebody reported a suspicious purchase. With an order id it is also that order's fraud label.
    AbuseReport,
}

impl EventKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 14] = [
        Self::Order,
        Self::PaymentFailed,
        Self::Return,
        Self::Refund,
        Self::RefundClaim,
        Self::Chargeback,
        Self::Cancel,
        Self::Contact,
        Self::Login,
        Self::Signup,
        Self::Review,
        Self::Verification,
        Self::PaymentChange,
        Self::AbuseReport,
    ];

    /// The name in files and features.
    pub fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::PaymentFailed => "payment_failed",
            Self::Return => "return",
            Self::Refund => "refund",
            Self::RefundClaim => "refund_claim",
            Self::Chargeback => "chargeback",
            Self::Cancel => "cancel",
            Self::Contact => "contact",
            Self::Login => "login",
            Self::Signup => "signup",
            Self::Review => "review",
            Self::Verification => "verification",
            Self::PaymentChange => "payment_change",
            Self::AbuseReport => "abuse_report",
        }
    }

    /// The kind of that name; letter case, spaces and dashes do not matter (`Payment failed` is `payment_failed`).
    pub fn from_name(name: &str) -> Option<Self> {
        let same = |a: &str| {
            a.len() == name.len()
                && a.bytes().zip(name.bytes()).all(|(a, b)| match b {
                    b' ' | b'-' => a == b'_',
                    b => a == b.to_ascii_lowercase(),
                })
        };
        Self::ALL.into_iter().find(|kind| same(kind.name()))
    }

    /// Whether an event of this kind says that the order it names is fraud.
    pub fn is_label(self) -> bool {
        matches!(self, Self::Chargeback | Self::AbuseReport)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_name(kind.name()), Some(kind));
            assert_eq!(EventKind::from_name(&kind.name().to_uppercase().replace('_', " ")), Some(kind));
        }
        assert_eq!(EventKind::from_name("orders"), None);
        assert_eq!(EventKind::from_name(""), None);
    }
}
