//! Events as CSV, the way a shop would export them.

mod text;

use std::io::{self, Write};
use std::net::Ipv4Addr;

use orderguard_features::kind::EventKind;

use self::text::Text;
use crate::event::{OtherEvent, SimulatedEvent};
use crate::order::{Address, Card, IpPlace, SimulatedOrder};

/// Which events are written, and with which columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// All events, all columns.
    Stream,
    /// Orders only, without the columns that are about events.
    Orders,
    /// Everything but orders, without the columns that only orders fill.
    Others,
}

/// Columns in the order of the file, with the layouts other than [`Layout::Stream`] that have them.
const COLUMNS: [(&str, bool, bool); 50] = [
    ("event_id", false, true),
    ("event", false, true),
    ("order_id", true, true),
    ("event_time", true, true),
    ("known_at", false, true),
    ("customer_id", true, true),
    ("signup_time", true, false),
    ("customer_name", true, true),
    ("email", true, true),
    ("phone", true, true),
    ("device_id", true, true),
    ("user_agent", true, true),
    ("ip", true, true),
    ("ip_country", true, true),
    ("ip_latitude", true, true),
    ("ip_longitude", true, true),
    ("card", true, true),
    ("bin", true, true),
    ("card_country", true, true),
    ("billing_address", true, false),
    ("billing_country", true, false),
    ("billing_region", true, false),
    ("billing_postcode", true, false),
    ("billing_latitude", true, false),
    ("billing_longitude", true, false),
    ("shipping_address", true, false),
    ("shipping_country", true, false),
    ("shipping_region", true, false),
    ("shipping_postcode", true, false),
    ("shipping_latitude", true, false),
    ("shipping_longitude", true, false),
    ("payment_method", true, true),
    ("category", true, true),
    ("basket_hash", true, false),
    ("amount", true, true),
    ("currency", true, true),
    ("n_items", true, false),
    ("coupon", true, false),
    ("channel", true, false),
    ("customer_type", true, false),
    ("special_offer", true, false),
    ("session_seconds", true, false),
    ("reason", false, true),
    ("topic", false, true),
    ("proof", false, true),
    ("packaging", false, true),
    ("rating", false, true),
    ("label", true, true),
    ("label_time", true, false),
    ("fraud_kind", true, false),
];

impl Layout {
    /// The first line of the file, without its end.
    pub fn header(self) -> String {
        let has = |&&(_, orders, others): &&(&str, bool, bool)| match self {
            Self::Stream => true,
            Self::Orders => orders,
            Self::Others => others,
        };
        COLUMNS.iter().filter(has).map(|(name, _, _)| *name).collect::<Vec<_>>().join(",")
    }

    /// Whether events of this kind stand in the file.
    pub fn holds(self, kind: EventKind) -> bool {
        match self {
            Self::Stream => true,
            Self::Orders => kind == EventKind::Order,
            Self::Others => kind != EventKind::Order,
        }
    }

    /// Appends the event's line, its end included, to `lines`; nothing if the file does not hold its kind.
    pub fn append(self, event: &SimulatedEvent, lines: &mut Vec<u8>) {
        let mut text = Text(lines);
        match event {
            SimulatedEvent::Order(order) if self != Self::Others => order_line(order, self == Self::Stream, &mut text),
            SimulatedEvent::Other(event) if self != Self::Orders => other_line(event, self == Self::Stream, &mut text),
            _ => {}
        }
    }
}

/// Writes a header and one line per event that the layout holds; comma, LF, UTF-8. No value needs quotes. Missing values
/// are empty.
///
/// Times are ISO 8601 in UTC with whole seconds, amounts have two decimals, coordinates three, labels are 0, 1 or empty.
/// `fraud_kind` is known only with the label. Returns the number of lines below the header. Lines are built in memory and
/// written in blocks, so `out` needs no buffer of its own.
///
/// # Errors
/// Those of `out`, unchanged; what was written before stays.
///
/// ```
/// use orderguard_simulator::{Layout, SimulatorParams, simulate, write_csv};
/// let params = SimulatorParams { n_orders: 100, ..Default::default() }.check()?;
/// let mut file = Vec::new();
/// assert_eq!(write_csv(Layout::Orders, simulate(&params), &mut file)?, 100);
/// assert!(file.starts_with(b"order_id,event_time,customer_id,"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_csv(
    layout: Layout,
    events: impl IntoIterator<Item = SimulatedEvent>,
    out: &mut impl Write,
) -> io::Result<u64> {
    const BLOCK: usize = 1 << 16;
    let mut lines = Vec::with_capacity(BLOCK + 2_048);
    lines.extend_from_slice(layout.header().as_bytes());
    lines.push(b'\n');
    let mut n_lines = 0;
    for event in events {
        layout.append(&event, &mut lines);
        n_lines += u64::from(layout.holds(event.kind()));
        if lines.len() >= BLOCK {
            out.write_all(&lines)?;
            lines.clear();
        }
    }
    out.write_all(&lines)?;
    out.flush()?;
    Ok(n_lines)
}

fn order_line(order: &SimulatedOrder, is_stream: bool, text: &mut Text<'_>) {
    if is_stream {
        text.number(order.event_id);
        text.word(EventKind::Order.name());
    }
    text.number(order.order_id);
    text.time(order.time);
    if is_stream {
        text.time(order.time);
    }
    text.customer(order.customer_id);
    text.time(order.signup_time);
    text.word(&order.name);
    text.word(&order.email);
    text.phone(order.phone);
    text.device(order.device);
    text.user_agent(order.user_agent);
    network(order.ip, text);
    card(order.card.as_ref(), text);
    address(&order.billing, text);
    address(&order.shipping, text);
    text.word(order.payment_method);
    text.word(order.category);
    text.hexadecimal(u64::from(order.basket), 8);
    text.money(Some(order.amount_cents));
    text.word(order.currency);
    text.number(u64::from(order.n_items));
    text.word(order.coupon.unwrap_or_default());
    text.word(order.channel);
    text.word(if order.is_business { "business" } else { "private" });
    text.flag(Some(order.special_offer));
    text.maybe(order.session_seconds.map(u64::from));
    if is_stream {
        text.nothing(5);
    }
    text.flag(order.label);
    text.maybe_time(order.label_time);
    text.word(order.fraud_kind.map_or("", |kind| kind.name()));
    text.end();
}

fn other_line(event: &OtherEvent, is_stream: bool, text: &mut Text<'_>) {
    // Columns that only orders fill.
    let of_orders = |n, text: &mut Text<'_>| {
        if is_stream {
            text.nothing(n);
        }
    };
    text.number(event.event_id);
    text.word(event.kind.name());
    text.maybe(event.order_id);
    text.time(event.time);
    text.time(event.known_at);
    text.customer(event.customer_id);
    of_orders(1, text);
    text.word(event.name.as_deref().unwrap_or_default());
    text.word(event.email.as_deref().unwrap_or_default());
    text.phone(event.phone);
    text.device(event.device);
    text.user_agent(event.user_agent);
    network(event.ip, text);
    card(event.card.as_ref(), text);
    of_orders(12, text);
    text.word(event.payment_method.unwrap_or_default());
    text.word(event.category.unwrap_or_default());
    of_orders(1, text);
    text.money(event.amount_cents);
    text.word(event.currency.unwrap_or_default());
    of_orders(6, text);
    text.word(event.reason.unwrap_or_default());
    text.word(event.topic.unwrap_or_default());
    let yes_or_no = |answer: Option<bool>| answer.map_or("", |is_so| if is_so { "yes" } else { "no" });
    text.word(yes_or_no(event.proof));
    text.word(yes_or_no(event.packaging));
    text.maybe(event.rating.map(u64::from));
    text.flag(event.label);
    of_orders(2, text);
    text.end();
}

/// The address and where it is.
fn network(ip: Option<Ipv4Addr>, text: &mut Text<'_>) {
    let Some(ip) = ip else { return text.nothing(4) };
    let place = IpPlace::of(ip);
    text.ip(ip);
    text.word(place.country);
    text.thousandths(place.latitude);
    text.thousandths(place.longitude);
}

fn card(card: Option<&Card>, text: &mut Text<'_>) {
    let Some(card) = card else { return text.nothing(3) };
    text.card(card);
    text.number(u64::from(card.bin));
    text.word(card.country);
}

fn address(place: &Address, text: &mut Text<'_>) {
    text.address(place);
    text.word(place.country);
    text.region(place);
    text.postcode(place.postcode);
    text.thousandths(place.latitude);
    text.thousandths(place.longitude);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layout_has_its_columns() {
        let n = |layout: Layout| layout.header().split(',').count();
        assert_eq!(n(Layout::Stream), COLUMNS.len());
        assert_eq!(n(Layout::Orders), COLUMNS.iter().filter(|(_, orders, _)| *orders).count());
        assert!(COLUMNS.iter().all(|(name, orders, others)| !name.is_empty() && (*orders || *others)));
    }
}
