//! The features of the default catalogue, by what dishonest customers do.
//!
//! A template is the text of a feature with `{..}` for a column: a role, `{account}` (the customer, else the e-mail, phone,
//! card or device), `{entity}` (each entity column in turn), `{goods}` (the category of the goods) or `{method}` (how is paid).
//! A template whose columns, tables or events are missing is left out, and the catalogue says why.

/// Features that serve one purpose, in words.
pub(super) struct Family {
    pub(super) what: &'static str,
    pub(super) templates: &'static [&'static str],
}

/// Of a category of many levels.
pub(super) const MANY_LEVELS_OF_A_CATEGORY: Family = Family {
    what: "known frauds of a category's level, where it has many",
    templates: &["fraud_rate by {column} over 90d shrink 20"],
};

/// Of each entity, where the shop has few of them: the windows of the Fraud Detection Handbook (chapter 3) and what relates
/// an order to the entity's habits.
pub(super) const FEW_ENTITIES: Family = Family {
    what: "activity, habits and known frauds of each entity",
    templates: &[
        "count(order) by {entity}",
        "since_last(order) by {entity}",
        "count(order) by {entity} over 1h",
        "count(order) by {entity} over 1d",
        "count(order) by {entity} over 7d",
        "count(order) by {entity} over 30d",
        "count(order) by {entity} over 1d / 30d",
        "sum(amount) by {entity} over 1d",
        "sum(amount) by {entity} over 7d",
        "sum(amount) by {entity} over 30d",
        "ratio(amount) by {entity} over 7d",
        "ratio(amount) by {entity} over 30d",
        "zscore(amount) by {entity} over 30d",
        "fraud_count by {entity} over 1d",
        "fraud_count by {entity} over 7d",
        "fraud_count by {entity} over 30d",
        "fraud_rate by {entity} over 1d",
        "fraud_rate by {entity} over 7d",
        "fraud_rate by {entity} over 30d",
        // 0 says that the last that was settled was a fraud: the entity may still be in the wrong hands.
        "orders_since_fraud by {entity} over 30d",
    ],
};

/// The same, where the shop has many entities: what each is good for.
pub(super) const MANY_ENTITIES: [Family; 2] = [
    Family {
        what: "bursts of orders per account, card, device, network address",
        templates: &[
            "count(order) by {account}",
            "count(order) by {account} over 1h",
            "count(order) by {account} over 1d",
            "count(order) by {account} over 30d",
            "count(order) by {account} over 1d / 30d",
            "sum(amount) by {account} over 1d",
            "sum(amount) by {account} over 30d",
            "decayed_count(order) by {account} halflife 3d",
            "count(order) by {card} over 1min",
            "count(order) by {card} over 1h",
            "count(order) by {card} over 1d",
            "count(order) by {device} over 10min",
            "count(order) by {device} over 1d",
            "count(order) by {ip} over 10min",
            "count(order) by {ip} over 1d",
            "count(order) by {merchant} over 1d",
            "count(order) by {merchant} over 30d",
        ],
    },
    Family {
        what: "frauds known so far of account, card, device, network address, postal address, e-mail domain, issuer",
        templates: &[
            "fraud_count by {account} over 90d",
            "fraud_count by {card} over 90d",
            "fraud_count by {device} over 90d",
            "fraud_rate by {ip} over 30d shrink 20",
            "fraud_count by {shipping_address} over 90d",
            "fraud_rate by email_domain over 30d shrink 20",
            "fraud_rate by bin over 30d shrink 20",
            "fraud_rate by {merchant} over 30d",
        ],
    },
];

/// Of entity columns beyond the first of their role, where the shop has many.
pub(super) const MORE_OF_A_ROLE: Family = Family {
    what: "activity of the other columns with an entity's role",
    templates: &[
        "count(order) by {entity} over 1d",
        "count(order) by {entity} over 30d",
        "fraud_rate by {entity} over 30d",
    ],
};

/// Where the shop has few entities: what a tree could put together itself, but a few frauds do not teach it.
pub(super) const FEW_EXTRAS: Family = Family {
    what: "habits of accounts and how they change, habits of sellers, nights and weekends",
    templates: &[
        "night",
        "weekend",
        "ratio(amount) by {customer} over 90d",
        // A stolen card spends otherwise than its owner did, long before the first fraud is known.
        "mean(amount) by {customer} over 7d / 90d",
        "deviation(amount) by {customer} over 7d / 90d",
        "is_new by {customer} + {merchant}",
        "distinct({merchant}) by {customer} over 1d",
        "distinct({customer}) by {merchant} over 7d",
    ],
};

/// For every shop.
pub(super) const ALWAYS: [Family; 15] = [
    Family { what: "time of day and week", templates: &["hour", "weekday"] },
    Family {
        what: "network addresses: many in little time, distant, unusual, seen in past fraud",
        templates: &[
            "distinct({ip}) by {customer} over 1d",
            "speed(ip) by {customer}",
            "fraud_rate by ip24 over 30d shrink 20",
            "private({ip})",
            "category(ip.country)",
            "mismatch(ip.country, {billing_country})",
            "mismatch(ip.country, {shipping_country})",
            "km(ip, shipping)",
            "km(ip, billing)",
        ],
    },
    Family {
        what: "false contact data",
        templates: &[
            "valid({email})",
            "entropy({email})",
            "digit_share({email})",
            "longest_run({email})",
            "free({email})",
            "disposable({email})",
            "is_new by email_domain",
            "similarity({email}, {name})",
            "valid({phone})",
            "mismatch(phone.country, {billing_country})",
        ],
    },
    Family {
        what: "dear goods with no history",
        templates: &[
            "since_first(order) by {account}",
            "since_last(order) by {account}",
            "since_first(signup) by {account}",
            "ratio(amount) by {account} over 30d",
            "zscore(amount) by {account} over 90d",
            "zscore(amount) by {goods} over 30d",
            "zscore(amount) by shop over 7d",
        ],
    },
    Family {
        what: "delivery that does not fit the customer",
        templates: &[
            "mismatch({billing_country}, {shipping_country})",
            "mismatch({billing_region}, {shipping_region})",
            "mismatch({billing_postcode}, {shipping_postcode})",
            "similarity({billing_address}, {shipping_address})",
            "km(billing, shipping)",
            "is_new by {customer} + {shipping_address}",
        ],
    },
    Family {
        what: "many orders to one address",
        templates: &[
            "count(order) by {shipping_address} over 1d",
            "count(order) by {shipping_address} over 30d",
            "sum(amount) by {shipping_address} over 7d",
        ],
    },
    Family {
        what: "stolen cards: declined payments, many cards, small test charges, foreign issuers",
        templates: &[
            "count(payment_failed) by {card} over 1d",
            "count(payment_failed) by {device} over 1h",
            "count(payment_failed) by {ip} over 1h",
            "count(payment_failed) by {account} over 1d",
            "distinct({card}) by {device} over 1d",
            "count(order) by {card} over 1d where amount < 5",
            "count(order) by bin over 1h",
            "mismatch(bin.country, {billing_country})",
            "mismatch(bin.country, ip.country)",
        ],
    },
    Family {
        what: "many accounts with shared things, coupons used again",
        templates: &[
            "accounts_per({device})",
            "accounts_per({card})",
            "accounts_per({shipping_address})",
            "accounts_per({email})",
            "accounts_per({phone})",
            "distinct({customer}) by {ip} over 1d",
            "count(order) by {device} + {coupon} over 30d",
            "cluster_size",
            "cluster_frauds",
            "cluster_new_links",
        ],
    },
    Family {
        what: "unusual currency or payment method",
        templates: &["is_new by {customer} + {method}", "is_new by {customer} + {currency}"],
    },
    Family {
        what: "account takeover: new things and changes",
        templates: &[
            "is_new by {customer} + {device}",
            "is_new by {customer} + {card}",
            "distinct({device}) by {customer} over 1d",
            "distinct({shipping_address}) by {customer} over 1d",
            "count(login) by {customer} over 1h",
            "distinct({ip} of login) by {customer} over 1d",
            "count(login) by {ip} over 1h",
            "count(payment_change) by {customer} over 1d",
            "since_last(verification) by {customer}",
        ],
    },
    Family {
        what: "bots and impulse: even gaps, the same basket again, automation, many sign-ups",
        templates: &[
            "gap_variation(order) by {device} over 7d",
            "count(order) by {basket} over 1h",
            "bot({user_agent})",
            "count(signup) by {ip} over 1d",
        ],
    },
    Family {
        what: "returns, refunds and claims out of habit",
        templates: &[
            "rate(return per order) by {account} over 90d shrink 10",
            "rate(return per order) by {account} over 90d shrink 10 to {goods}",
            "rate(refund per order) by {account} over 90d shrink 10",
            "count(refund_claim) by {account} over 90d",
            // Whoever is known by now claims again from another account.
            "count(refund_claim) by {device} over 90d",
            "count(refund_claim) by {shipping_address} over 90d",
            // A claim that names no order has no age, so the rest of the share is claims without a purchase.
            "share(refund_claim) by {account} over 90d where age >= 0s",
        ],
    },
    Family {
        what: "orders kept open long, ordered and cancelled",
        templates: &[
            "rate(cancel per order) by {account} over 90d shrink 10",
            "rate(cancel per order) by {card} over 90d shrink 10",
            "mean(age of cancel) by {account} over 90d",
        ],
    },
    Family {
        what: "contacts and complaints, early and late",
        templates: &[
            "count(contact) by {account} over 7d",
            "rate(contact per order) by {account} over 90d shrink 10",
            "min(age of contact) by {account} over 90d",
            "share(return) by {account} over 90d where age >= 14d",
        ],
    },
    Family {
        what: "false reviews",
        templates: &["count(review) by {account} over 7d", "share(review) by {account} over 90d where age >= 0s"],
    },
];

/// Of number columns that are filled on these events and not on orders: marks of reviews, proofs of returns.
pub(super) const EVENT_NUMBERS: Family = Family {
    what: "numbers of reviews, returns and claims (marks, proofs)",
    templates: &[
        "mean({column} of review) by {account} over 90d",
        "mean({column} of return) by {account} over 90d",
        "mean({column} of refund_claim) by {account} over 90d",
    ],
};

/// Of category columns that are filled on these events and not on orders: reasons, topics, packaging. Each with the number of
/// most frequent levels that get a feature of their own.
pub(super) const EVENT_LEVELS: [(&str, usize); 3] = [
    ("count(refund_claim) by {account} over 90d where {column} = {level}", 4),
    ("share(return) by {account} over 90d where {column} = {level}", 2),
    ("share(contact) by {account} over 90d where {column} = {level}", 2),
];
/// What they are for.
pub(super) const EVENT_LEVELS_WHAT: &str = "reasons of claims and returns, topics of contacts";
