//! The words of web-shop exports, and which role a column's name speaks for.

use orderguard_features::schema::Role;

use super::words::Words;

/// Words for the thing that is scored.
pub(crate) const ORDER: &[&str] = &[
    "order",
    "orders",
    "purchase",
    "transaction",
    "trans",
    "txn",
    "trx",
    "tx",
    "event",
    "payment",
    "invoice",
    "checkout",
    "booking",
    "sale",
    "basket",
    "cart",
];
/// Words that make a name an identifier's.
pub(crate) const ID: &[&str] = &[
    "id",
    "ids",
    "identifier",
    "no",
    "nr",
    "num",
    "number",
    "key",
    "uuid",
    "guid",
    "hash",
    "hashed",
    "ref",
    "reference",
    "token",
    "masked",
    "sha",
    "md",
];
/// Words that change nothing in an entity's name.
const FILLER: &[&str] =
    &["the", "main", "primary", "original", "raw", "unique", "internal", "external", "anonymous", "anon"];
const CUSTOMER: &[&str] = &[
    "customer", "cust", "user", "client", "account", "acct", "buyer", "member", "shopper", "consumer", "payer",
    "patron", "uid",
];
const CARD: &[&str] = &["card", "cards", "pan", "cc", "creditcard", "credit", "debit", "iban"];
const CARD_KEY: &[&str] = &["card", "cards", "pan", "cc", "creditcard", "iban"];
const DEVICE: &[&str] = &["device", "fingerprint", "cookie", "visitor", "imei", "browser"];
const DEVICE_KEY: &[&str] = &["device", "fingerprint", "cookie", "visitor", "imei"];
const MERCHANT: &[&str] =
    &["merchant", "seller", "vendor", "store", "shop", "terminal", "pos", "retailer", "outlet", "supplier"];
const EMAIL: &[&str] = &["email", "mail", "emailaddress"];
const PHONE: &[&str] = &["phone", "tel", "telephone", "mobile", "msisdn", "cellphone", "phonenumber"];
const IP: &[&str] = &["ip", "ipv", "ipaddress", "ipaddr"];
const CONTACT_FILLER: &[&str] =
    &["address", "addr", "contact", "home", "work", "remote", "numeric", "int", "decimal", "v", "login", "p", "r"];
const BILLING: &[&str] = &["billing", "bill", "invoice", "payer"];
const SHIPPING: &[&str] =
    &["shipping", "ship", "shipment", "delivery", "deliver", "recipient", "destination", "receiver", "consignee"];
const STREET: &[&str] = &["address", "addr", "street", "addressline", "streetaddress"];
const POSTAL: &[&str] = &["postal", "zip", "postcode", "zipcode", "plz"];
const BASKET: &[&str] = &["basket", "cart", "items", "skus"];
/// Words for a text that is equal for equal contents.
const DIGEST: &[&str] = &["hash", "hashed", "fingerprint", "signature", "digest", "contents", "sha", "md"];
const COUPON: &[&str] = &["coupon", "coupons", "voucher", "vouchers", "promo", "promotion", "promocode", "discount"];
const ISSUER: &[&str] = &["card", "issuer", "issuing", "bank", "bin", "cc"];

/// Words that make a name a label's beyond doubt.
const LABEL: &[&str] = &[
    "fraud",
    "frauds",
    "fraudulent",
    "label",
    "labels",
    "chargeback",
    "chargebacks",
    "cbk",
    "isfraud",
    "fraudster",
    "abuse",
    "scam",
];
/// Words that may name a label when no better one is there.
const WEAK_LABEL: &[&str] = &["class", "target", "outcome", "y", "verdict"];
/// Words that make a name with a label's word something else: its kind, its cause, a score, a count of earlier ones.
const NOT_LABEL: &[&str] = &[
    "scenario",
    "type",
    "kind",
    "reason",
    "cause",
    "code",
    "source",
    "score",
    "rule",
    "probability",
    "proba",
    "prob",
    "risk",
    "predicted",
    "prediction",
    "model",
    "count",
    "counts",
    "rate",
    "ratio",
    "share",
    "n",
    "num",
    "number",
    "previous",
    "prev",
    "prior",
    "past",
    "history",
    "historical",
    "days",
    "hours",
    "since",
    "last",
    "amount",
    "id",
    "name",
    "category",
    "customer",
    "merchant",
    "device",
    "card",
    "ip",
    "email",
    "terminal",
];
/// Words for points in time.
pub(crate) const TIME: &[&str] =
    &["time", "timestamp", "date", "datetime", "at", "ts", "when", "on", "day", "moment", "epoch", "unixtime", "dt"];
/// Words for times of the customer's life, not of the order.
const EARLIER_TIME: &[&str] = &[
    "signup",
    "sign",
    "register",
    "registered",
    "registration",
    "joined",
    "join",
    "account",
    "customer",
    "user",
    "member",
    "first",
    "last",
    "previous",
    "prev",
    "since",
    "session",
    "login",
    "opened",
    "activation",
];
/// Words for times that no order happens at.
const NEVER_ORDER_TIME: &[&str] =
    &["birth", "dob", "birthday", "birthdate", "born", "expiry", "expires", "expiration", "exp", "valid", "until"];
/// Words for what happens after the order.
const LATER: &[&str] = &[
    "delivered",
    "chargeback",
    "chargebacks",
    "cbk",
    "refund",
    "refunded",
    "returned",
    "dispute",
    "disputed",
    "resolved",
    "closed",
    "cancelled",
    "canceled",
    "reported",
    "investigation",
    "investigated",
    "reviewed",
    "updated",
    "modified",
    "label",
    "labels",
    "labeled",
    "labelled",
    "settled",
    "settlement",
    "shipped",
    "fulfilled",
];
/// Words that turn a later thing into what was known of earlier orders.
const HISTORY: &[&str] = &[
    "previous",
    "prev",
    "prior",
    "past",
    "history",
    "historical",
    "rate",
    "ratio",
    "share",
    "count",
    "counts",
    "n",
    "num",
    "number",
    "last",
    "avg",
    "average",
    "mean",
    "days",
    "policy",
    "period",
    "window",
    "allowed",
];
const PERSON_NAME: &[&str] = &[
    "first",
    "last",
    "full",
    "given",
    "family",
    "middle",
    "sur",
    "customer",
    "user",
    "buyer",
    "holder",
    "cardholder",
    "account",
    "billing",
    "shipping",
    "recipient",
    "client",
    "person",
    "contact",
    "nick",
];
const FREE_TEXT: &[&str] = &[
    "description",
    "comment",
    "comments",
    "note",
    "notes",
    "message",
    "url",
    "uri",
    "referrer",
    "remarks",
    "subject",
    "username",
];
/// Words for codes that only look like quantities.
const CODE: &[&str] = &[
    "type", "category", "cat", "code", "mcc", "zip", "postal", "postcode", "country", "region", "state", "status",
    "flag", "method", "channel", "bin", "iin", "class", "group", "segment", "level", "tier", "kind", "scenario",
    "source", "id", "brand", "bank", "issuer", "network", "gender", "sex",
];
/// Words for the order's value.
const AMOUNT: &[&str] = &["amount", "amt", "price", "value", "total", "sum", "revenue", "cost", "turnover"];
/// Words for values that are not the order's whole one.
const PART_OF_AMOUNT: &[&str] = &[
    "avg", "average", "mean", "median", "max", "min", "std", "previous", "prev", "last", "limit", "balance", "tax",
    "vat", "discount", "refund", "refunded", "tip", "fee", "fees", "items", "item", "unit", "quantity", "qty",
    "shipping", "count", "n", "days", "credit", "score", "risk", "ratio", "rate", "old", "new", "per", "coupon",
    "voucher", "old", "net",
];

/// How much a name speaks for a column of kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SaysKinds {
    /// The name may be that of anything else.
    Perhaps,
    /// The name says it.
    Clearly,
}

/// Whether the column of this name may say what kind of event each row is.
pub(crate) fn says_kinds(name: &str) -> Option<SaysKinds> {
    const KIND: &[&str] = &["kind", "type", "name", "category", "class", "action", "activity"];
    const EVENT: &[&str] = &["event", "events"];
    const ROW: &[&str] = &["row", "record", "entry", "order", "transaction", "tx", "txn", "message"];
    let words = Words::of(name);
    if words.has(EVENT) && words.are_all_in(&[EVENT, KIND]) {
        return Some(SaysKinds::Clearly);
    }
    let may = words.has(&["kind", "type", "action", "activity"]) && words.are_all_in(&[KIND, ROW]);
    may.then_some(SaysKinds::Perhaps)
}

/// The entity that the name speaks for, with the word that says so.
pub(crate) fn entity(words: &Words) -> Option<(Role, String)> {
    let said = |role, list: &[&str]| Some((role, words.first_of(list)?.to_owned()));
    if is_basket(words) {
        return said(Role::Basket, BASKET);
    }
    if words.has(&["bin", "iin"]) && words.are_all_in(&[&["bin", "iin", "issuer", "first", "digits"], CARD, ID, FILLER])
    {
        return said(Role::Bin, &["bin", "iin"]);
    }
    if words.has(COUPON) && words.are_all_in(&[COUPON, ID, FILLER, ORDER, &["code", "codes", "used", "applied"]]) {
        return said(Role::Coupon, COUPON);
    }
    if words.has(&["domain", "provider"]) {
        return None;
    }
    if words.has(IP) && words.are_all_in(&[IP, ID, FILLER, CONTACT_FILLER, CUSTOMER, ORDER, DEVICE, BILLING, SHIPPING])
    {
        return said(Role::Ip, IP);
    }
    let people: &[&[&str]] = &[ID, FILLER, CONTACT_FILLER, CUSTOMER, ORDER, BILLING, SHIPPING];
    if words.has(EMAIL)
        && (words.are_all_in(people)
            || words.are_all_in(&[EMAIL, ID, FILLER, CONTACT_FILLER, CUSTOMER, ORDER, BILLING, SHIPPING]))
    {
        return said(Role::Email, EMAIL);
    }
    if words.has(PHONE) && words.are_all_in(&[PHONE, ID, FILLER, CONTACT_FILLER, CUSTOMER, ORDER, BILLING, SHIPPING]) {
        return said(Role::Phone, PHONE);
    }
    if words.has(STREET)
        && !words.has(&["id", "type", "country", "state", "city", "match", "distance", "age", "days", "count"])
    {
        let role = if words.has(SHIPPING) { Role::ShippingAddress } else { Role::BillingAddress };
        return said(role, STREET);
    }
    if words.has(CARD_KEY) && words.are_all_in(&[CARD, ID, FILLER, ORDER]) {
        return said(Role::Card, CARD_KEY);
    }
    if words.has(DEVICE_KEY) && words.are_all_in(&[DEVICE, ID, FILLER, CUSTOMER]) {
        return said(Role::Device, DEVICE_KEY);
    }
    if words.has(MERCHANT) && words.are_all_in(&[MERCHANT, ID, FILLER, ORDER, &["name"]]) {
        return said(Role::Merchant, MERCHANT);
    }
    if words.has(CUSTOMER) && words.are_all_in(&[CUSTOMER, ID, FILLER, ORDER]) {
        return said(Role::Customer, CUSTOMER);
    }
    (words.len() == 2 && words.has(&["entity"]) && words.has(&["id"])).then(|| (Role::Customer, "entity id".to_owned()))
}

/// Whether the name speaks of a text that is equal for equal baskets.
fn is_basket(words: &Words) -> bool {
    let all = [BASKET, DIGEST, ORDER, ID, FILLER, &["item", "product", "products"]];
    let is_digest = words.has(BASKET) && words.has(DIGEST) && words.are_all_in(&all);
    is_digest || (words.len() == 1 && words.has(&["basket", "cart"]))
}

/// The place that the name speaks for, how well (above 0), and the word that says so. Names that do not say whose place it is
/// are taken as the bill's, with less weight.
pub(crate) fn place(words: &Words) -> Option<(Role, u8, String)> {
    const COUNTRY: &[&str] = &["country", "nation", "countrycode"];
    const REGION: &[&str] = &["region", "state", "province", "county"];
    const LATITUDE: &[&str] = &["latitude", "lat"];
    const LONGITUDE: &[&str] = &["longitude", "lng", "lon", "long"];
    const CODE: &[&str] =
        &["code", "iso", "alpha", "name", "address", "addr", "from", "of", "origin", "geo", "detected", "location"];
    let roles: [(&[&str], [Option<Role>; 4]); 5] = [
        (
            COUNTRY,
            [Some(Role::CardCountry), Some(Role::IpCountry), Some(Role::ShippingCountry), Some(Role::BillingCountry)],
        ),
        (REGION, [None, None, Some(Role::ShippingRegion), Some(Role::BillingRegion)]),
        (POSTAL, [None, None, Some(Role::ShippingPostcode), Some(Role::BillingPostcode)]),
        (LATITUDE, [None, Some(Role::IpLatitude), Some(Role::ShippingLatitude), Some(Role::BillingLatitude)]),
        (LONGITUDE, [None, Some(Role::IpLongitude), Some(Role::ShippingLongitude), Some(Role::BillingLongitude)]),
    ];
    let (list, [card, ip, shipping, billing]) = roles.into_iter().find(|(list, _)| words.has(list))?;
    let of = |role: Option<Role>, rank: u8| Some((role?, rank, words.first_of(list)?.to_owned()));
    let only = |more: &[&[&str]]| words.are_all_in(&[&[list, CODE, FILLER], more].concat());
    if words.has(ISSUER) && only(&[ISSUER, &["number"]]) {
        return of(card, 3);
    }
    if (words.has(IP) || words.has(&["geo", "geoip"])) && only(&[IP, &["geo", "geoip", "login"]]) {
        return of(ip, 3);
    }
    if words.has(SHIPPING) && only(&[SHIPPING, ORDER]) {
        return of(shipping, 3);
    }
    if words.has(BILLING) && only(&[BILLING, ORDER]) {
        return of(billing, 3);
    }
    if words.has(CUSTOMER) && only(&[CUSTOMER]) {
        return of(billing, 2);
    }
    // A state by itself may be that of the order.
    (only(&[]) && list != REGION).then(|| of(billing, 1)).flatten()
}

/// Whether the name speaks of the moment at which the shop knew of something.
pub(crate) fn says_known_at(words: &Words) -> bool {
    const ARRIVED: &[&str] =
        &["known", "received", "ingested", "recorded", "arrived", "arrival", "ingestion", "ingest", "logged"];
    words.has(ARRIVED) && words.are_all_in(&[ARRIVED, TIME, ORDER, FILLER, &["server", "utc", "first"]])
}

/// Whether the name speaks of the identifier of an event, which may be another thing than an order.
pub(crate) fn says_event_id(words: &Words) -> bool {
    words.has(&["event", "events"]) && words.has(ID) && words.are_all_in(&[&["event", "events"], ID, FILLER])
}

/// Whether the name speaks of what a browser says of itself.
pub(crate) fn says_user_agent(words: &Words) -> bool {
    words.has(&["useragent"]) || (words.has(&["agent"]) && words.has(&["user", "browser", "http"]))
}

/// Whether the name is that of a person's name.
pub(crate) fn says_person_name(words: &Words) -> bool {
    words.has(&["surname", "firstname", "lastname", "fullname"]) || (words.has(&["name"]) && words.has(PERSON_NAME))
}

/// How well the name suits a label: 2 says so, 1 may, 0 does not.
pub(crate) fn label_rank(words: &Words) -> u8 {
    if words.has(NOT_LABEL) || words.has(TIME) {
        0
    } else if words.has(LABEL) {
        2
    } else {
        u8::from(words.has(WEAK_LABEL) && words.len() <= 2)
    }
}

/// What a label is called, for messages.
pub(crate) const LABEL_IN_WORDS: &str = "fraud, label, chargeback, cbk, abuse, class, target or outcome";

/// From this rank on, a name says that it is the order's time.
pub(crate) const SAYS_ORDER_TIME: u8 = 3;

/// How well the name suits the time of the order: above 0 it speaks for it, 0 says nothing or speaks for a time of the
/// customer's, `None` is ruled out.
pub(crate) fn order_time_rank(words: &Words) -> Option<u8> {
    if words.has(NEVER_ORDER_TIME) || is_later(words) || words.has(LABEL) {
        return None;
    }
    Some(match () {
        () if says_known_at(words) => 1,
        () if words.has(EARLIER_TIME) => 0,
        () if words.has(ORDER) => 5,
        () if words.has(&["placed", "paid"]) => 4,
        () if words.has(&["created", "create", "creation"]) => SAYS_ORDER_TIME,
        () if words.has(TIME) => SAYS_ORDER_TIME,
        () => 2,
    })
}

/// How well the name suits the time at which the label was learned: 0 does not.
pub(crate) fn label_time_rank(words: &Words) -> u8 {
    if words.has(&["label", "labels", "labeled", "labelled"]) {
        3
    } else if words.has(LABEL) {
        2
    } else {
        u8::from(words.has(&["dispute", "disputed", "reported"]))
    }
}

/// Whether the name allows numbers to be read as epoch times.
pub(crate) fn says_time(words: &Words) -> bool {
    words.has(TIME) || words.has(&["created", "placed", "updated", "signup"])
}

/// Whether the name speaks of something that happens after the order.
pub(crate) fn is_later(words: &Words) -> bool {
    words.has(LATER) && !words.has(HISTORY)
}

/// From this rank on, a name says that it is the order's identifier (or, at this rank, that of an event, which may be one).
pub(crate) const SAYS_ORDER_ID: u8 = 3;

/// How well the name suits the order's identifier: 0 does not.
pub(crate) fn order_id_rank(words: &Words) -> u8 {
    if is_basket(words) {
        0
    } else if says_event_id(words) {
        SAYS_ORDER_ID
    } else if words.has(ID) && words.has(ORDER) && words.are_all_in(&[ID, ORDER, FILLER]) {
        SAYS_ORDER_ID + 1
    } else if words.are_all_in(&[ID]) && words.has(&["id", "uuid", "guid", "identifier", "ref", "reference"]) {
        2
    } else {
        u8::from(words.has(&["id"]) && words.has(&["case", "record", "entry"]))
    }
}

/// Whether the name is one that programs give to a column of row numbers.
pub(crate) fn is_row_number(name: &str, words: &Words) -> bool {
    name.is_empty()
        || words.has(&["unnamed", "rownum", "rownumber"])
        || (words.len() == 1 && words.has(&["index"]))
        || (words.has(&["row"]) && words.are_all_in(&[ID, &["row", "index"]]))
}

/// Whether the name ends as identifiers do.
pub(crate) fn says_id(words: &Words) -> bool {
    words.has(&["id", "uuid", "guid", "hash", "identifier", "token"])
}

/// How well the name suits the order's value: 0 does not.
pub(crate) fn amount_rank(words: &Words) -> u8 {
    if !words.has(AMOUNT) || words.has(PART_OF_AMOUNT) {
        return 0;
    }
    let mut rank = if words.has(&["amount", "amt"]) { 3 } else { 2 };
    if words.has(ORDER) || words.has(&["grand"]) || words.len() == 1 {
        rank += 2;
    }
    if words.has(&["total"]) {
        rank += 1;
    }
    rank
}

/// Whether the name says that a currency stands there.
pub(crate) fn says_currency(words: &Words) -> bool {
    words.has(&["currency", "ccy", "curr", "currencycode"])
}

/// Whether the name speaks of a country, whose three-letter codes are no currencies.
pub(crate) fn says_country(words: &Words) -> bool {
    words.has(&["country", "nation", "region", "nationality", "state", "airport"])
}

/// Whether the name speaks of a code that is written in digits.
pub(crate) fn says_code(words: &Words) -> bool {
    words.has(CODE) && !words.has(&["count", "n", "num", "age", "days", "amount"])
}

/// Whether the name speaks of free text.
pub(crate) fn says_free_text(words: &Words) -> bool {
    words.has(FREE_TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_by_their_usual_names() {
        for (name, expected) in [
            ("CUSTOMER_ID", Some(Role::Customer)),
            ("user_id", Some(Role::Customer)),
            ("accountNumber", Some(Role::Customer)),
            ("ENTITY_ID", Some(Role::Customer)),
            ("customer_name", None),
            ("customer_age", None),
            ("user_agent", None),
            ("ENTITY_TYPE", None),
            ("card_number", Some(Role::Card)),
            ("cardnumber", Some(Role::Card)),
            ("cc_num", Some(Role::Card)),
            ("card_bin", Some(Role::Bin)),
            ("BIN", Some(Role::Bin)),
            ("bin_country", None),
            ("coupon", Some(Role::Coupon)),
            ("promo_code", Some(Role::Coupon)),
            ("coupon_amount", None),
            ("basket_hash", Some(Role::Basket)),
            ("basket", Some(Role::Basket)),
            ("items", None),
            ("cart_items_sha256", Some(Role::Basket)),
            ("basket_id", None),
            ("n_items", None),
            ("card_type", None),
            ("credit_limit", None),
            ("device_id", Some(Role::Device)),
            ("browser_fingerprint", Some(Role::Device)),
            ("device_type", None),
            ("browser", None),
            ("TERMINAL_ID", Some(Role::Merchant)),
            ("merchant_name", Some(Role::Merchant)),
            ("merchant_category", None),
            ("ip_address", Some(Role::Ip)),
            ("customer_ip", Some(Role::Ip)),
            ("ip_country", None),
            ("customerEmail", Some(Role::Email)),
            ("email_address", Some(Role::Email)),
            ("P_emaildomain", None),
            ("email_domain", None),
            ("billing_phone", Some(Role::Phone)),
            ("phone_number", Some(Role::Phone)),
            ("billing_street", Some(Role::BillingAddress)),
            ("shipping_address_line_1", Some(Role::ShippingAddress)),
            ("shipping_city", None),
        ] {
            assert_eq!(entity(&Words::of(name)).map(|(role, _)| role), expected, "{name}");
        }
    }

    #[test]
    fn places_by_their_usual_names() {
        for (name, expected) in [
            ("billing_country", Some((Role::BillingCountry, 3))),
            ("shippingCountryCode", Some((Role::ShippingCountry, 3))),
            ("delivery_zip", Some((Role::ShippingPostcode, 3))),
            ("card_country", Some((Role::CardCountry, 3))),
            ("issuing_bank_country", Some((Role::CardCountry, 3))),
            ("ip_country", Some((Role::IpCountry, 3))),
            ("geo_lat", Some((Role::IpLatitude, 3))),
            ("customer_country", Some((Role::BillingCountry, 2))),
            ("country", Some((Role::BillingCountry, 1))),
            ("zip", Some((Role::BillingPostcode, 1))),
            ("billing_state", Some((Role::BillingRegion, 3))),
            ("state", None),
            ("order_state", None),
            ("merch_lat", None),
            ("merchant_country", None),
            ("country_mismatch", None),
            ("billing_longitude", Some((Role::BillingLongitude, 3))),
            ("card_bin", None),
        ] {
            let found = place(&Words::of(name)).map(|(role, rank, _)| (role, rank));
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn names_that_may_say_kinds() {
        for (name, expected) in [
            ("event", Some(SaysKinds::Clearly)),
            ("EVENT_TYPE", Some(SaysKinds::Clearly)),
            ("eventKind", Some(SaysKinds::Clearly)),
            ("kind", Some(SaysKinds::Perhaps)),
            ("record_type", Some(SaysKinds::Perhaps)),
            ("transaction_type", Some(SaysKinds::Perhaps)),
            ("event_id", None),
            ("EVENT_LABEL", None),
            ("event_time", None),
            ("ENTITY_TYPE", None),
            ("card_type", None),
            ("category", None),
        ] {
            assert_eq!(says_kinds(name), expected, "{name}");
        }
    }

    #[test]
    fn labels_by_their_usual_names() {
        for (name, rank) in [
            ("TX_FRAUD", 2),
            ("is_fraud", 2),
            ("isFraud", 2),
            ("EVENT_LABEL", 2),
            ("has_cbk", 2),
            ("class", 1),
            ("Class", 1),
            ("TX_FRAUD_SCENARIO", 0),
            ("LABEL_TIMESTAMP", 0),
            ("fraud_score", 0),
            ("previous_chargebacks", 0),
            ("merchant_fraud_rate", 0),
            ("chargeback_date", 0),
            ("travel_class_of_the_seat", 0),
        ] {
            assert_eq!(label_rank(&Words::of(name)), rank, "{name}");
        }
    }

    #[test]
    fn times_by_their_usual_names() {
        let rank = |name| order_time_rank(&Words::of(name));
        assert!(rank("purchase_time") > rank("signup_time"));
        assert!(rank("TX_DATETIME") > rank("created_at"));
        assert!(rank("created_at") > rank("customer_since"));
        assert!(rank("occurred_at") > rank("received_at") && rank("event_time") > rank("known_at"));
        for name in ["known_at", "received_at", "ingested_at", "recorded_at", "event_received_time", "KnownAt"] {
            assert!(says_known_at(&Words::of(name)), "{name}");
        }
        for name in ["created_at", "known_device", "received_amount", "refund_received_at"] {
            assert!(!says_known_at(&Words::of(name)), "{name}");
        }
        for name in ["LABEL_TIMESTAMP", "chargeback_date", "delivered_at", "date_of_birth", "refund_time", "updated_at"]
        {
            assert_eq!(rank(name), None, "{name}");
        }
        assert!(label_time_rank(&Words::of("label_time")) > label_time_rank(&Words::of("chargeback_date")));
        assert!(is_later(&Words::of("refund_reason")) && !is_later(&Words::of("refund_rate")));
    }

    #[test]
    fn ids_and_amounts_by_their_usual_names() {
        for (name, rank) in [
            ("TRANSACTION_ID", 4),
            ("order_no", 4),
            ("orderid", 4),
            ("id", 2),
            ("customer_id", 0),
            ("EVENT_ID", 3),
            ("basket_hash", 0),
            ("order_number", 4),
            ("total", 0),
        ] {
            assert_eq!(order_id_rank(&Words::of(name)), rank, "{name}");
        }
        let amount = |name| amount_rank(&Words::of(name));
        for name in [
            "TX_AMOUNT",
            "amount",
            "amt",
            "order_price",
            "purchase_value",
            "total",
            "order_total",
            "transaction_amount",
        ] {
            assert!(amount(name) >= 4, "{name}");
        }
        for name in ["shipping_cost", "avg_amount", "tax_amount", "unit_price", "age", "discount_value"] {
            assert_eq!(amount(name), 0, "{name}");
        }
        assert!(is_row_number("Unnamed: 0", &Words::of("Unnamed: 0")) && !is_row_number("order", &Words::of("order")));
    }
}
