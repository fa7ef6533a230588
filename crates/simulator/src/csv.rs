//! Orders as a CSV file, the way a shop would export them.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use crate::CURRENCY;
use crate::order::SimulatedOrder;

/// The header of the file that [`write_csv`] writes.
pub const CSV_HEADER: &str = "order_id,order_time,customer_id,signup_time,email,phone,device_id,ip,card,card_country,\
billing_country,billing_postcode,shipping_country,shipping_postcode,shipping_address,payment_method,category,amount,\
currency,n_items,coupon,channel,customer_type,special_offer,session_seconds,label,label_time,fraud_kind";

/// Writes a header and one line per order; comma, LF, UTF-8. No value needs quotes. Missing values are empty.
///
/// Times are ISO 8601 in UTC with whole seconds, amounts have two decimals, labels are 0, 1 or empty. `fraud_kind` is
/// known only with the label. Returns the number of orders. Lines are built in memory and written in blocks, so `out`
/// needs no buffer of its own.
///
/// # Errors
/// Those of `out`, unchanged; what was written before stays.
///
/// ```
/// use orderguard_simulator::{SimulatorParams, simulate, write_csv};
/// let params = SimulatorParams { n_orders: 100, ..Default::default() }.check()?;
/// let mut file = Vec::new();
/// assert_eq!(write_csv(simulate(&params), &mut file)?, 100);
/// assert!(file.starts_with(b"order_id,order_time,"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_csv(orders: impl IntoIterator<Item = SimulatedOrder>, out: &mut impl Write) -> io::Result<u64> {
    const BLOCK: usize = 1 << 16;
    let mut text = String::with_capacity(BLOCK + 1_024);
    text.push_str(CSV_HEADER);
    text.push('\n');
    let mut n_orders = 0;
    for order in orders {
        line(&order, &mut text).expect("writing to a string does not fail");
        n_orders += 1;
        if text.len() >= BLOCK {
            out.write_all(text.as_bytes())?;
            text.clear();
        }
    }
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(n_orders)
}

fn line(order: &SimulatedOrder, text: &mut String) -> fmt::Result {
    write!(text, "{},{},{},{},{},", order.order_id, order.time, order.customer_id, order.signup_time, order.email)?;
    write!(text, "{},{},", Maybe(order.phone), Maybe(order.device))?;
    write!(text, "{},{},{},", Maybe(order.ip), Maybe(order.card), Maybe(order.card_country))?;
    write!(text, "{},{:05},", order.billing.country, order.billing.postcode)?;
    write!(text, "{},{:05},{},", order.shipping.country, order.shipping.postcode, order.shipping)?;
    write!(text, "{},{},", order.payment_method, order.category)?;
    let (whole, cents) = (order.amount_cents / 100, order.amount_cents % 100);
    write!(text, "{whole}.{cents:02},{CURRENCY},{},{},{},", order.n_items, Maybe(order.coupon), order.channel)?;
    let customer_type = if order.is_business { "business" } else { "private" };
    write!(text, "{customer_type},{},", u8::from(order.special_offer))?;
    write!(text, "{},", Maybe(order.session_seconds))?;
    writeln!(text, "{},{},{}", Maybe(order.label.map(u8::from)), Maybe(order.label_time), Maybe(order.fraud_kind))
}

/// The value, or nothing.
struct Maybe<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Maybe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |value| value.fmt(f))
    }
}
