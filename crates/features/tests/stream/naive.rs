//! Counts features anew for one order by the definitions of the design; shares no code with the library.

use orderguard_features::kind::EventKind;

use crate::raw::{DAY, HOUR, LABEL_DELAY, Raw, Step};

/// An event as it was taken, with the keys of its order where it lacked its own.
#[derive(Clone, Debug)]
struct Taken {
    kind: EventKind,
    time: i64,
    known_at: i64,
    customer: Option<u8>,
    device: Option<u8>,
    ip: Option<u8>,
    amount: Option<i64>,
    currency: Option<u8>,
    reason: Option<u8>,
    age: Option<i64>,
    /// Of an order: (time, fraud) of its labels in the order in which they were learned.
    labels: Vec<(i64, bool)>,
}

impl Taken {
    fn is_order(&self) -> bool {
        self.kind == EventKind::Order
    }

    fn resolved_at(&self) -> i64 {
        self.labels.first().map_or(i64::MAX, |label| label.0).min(self.time + LABEL_DELAY)
    }

    fn is_fraud_at(&self, t: i64) -> bool {
        self.labels.iter().rfind(|label| label.0 < t).is_some_and(|label| label.1)
    }
}

/// All that a stream left in memory.
pub(crate) struct Naive {
    taken: Vec<Taken>,
}

impl Naive {
    pub(crate) fn new(raws: &[Raw], steps: &[(i64, Step)]) -> Self {
        let mut taken: Vec<Taken> = Vec::new();
        // (order id, place among the taken); (event id).
        let mut orders: Vec<(u32, usize)> = Vec::new();
        let mut event_ids: Vec<u32> = Vec::new();
        // Labels of orders that were not known: (order id, when, fraud).
        let mut early: Vec<(u32, i64, bool)> = Vec::new();
        // Place among the taken of each order of the stream that was taken.
        let mut place = vec![None; raws.len()];
        let label = |taken: &mut Vec<Taken>, at: usize, time: i64, fraud: bool| {
            let time = time.max(taken[at].known_at).max(taken[at].labels.last().map_or(i64::MIN, |label| label.0));
            // At one time a fraud is not denied.
            if taken[at].labels.last() != Some(&(time, true)) {
                taken[at].labels.push((time, fraud));
            }
        };
        for &(now, step) in steps {
            let i = match step {
                Step::Label { of, time, fraud } => {
                    if let Some(at) = place[of] {
                        label(&mut taken, at, time, fraud);
                    }
                    continue;
                }
                Step::Event(i) => i,
            };
            let raw = &raws[i];
            if let Some(id) = raw.event {
                if event_ids.contains(&id) {
                    continue;
                }
                event_ids.push(id);
            }
            let known = raw.order.and_then(|id| orders.iter().find(|(known, _)| *known == id)).map(|(_, at)| *at);
            if raw.is_order() && known.is_some() {
                continue;
            }
            let mut event = Taken {
                kind: raw.kind,
                time: raw.time,
                known_at: raw.known_at(),
                customer: raw.customer,
                device: raw.device,
                ip: raw.ip,
                amount: raw.amount,
                currency: raw.currency,
                reason: raw.reason.filter(|_| !raw.is_order()),
                age: None,
                labels: Vec::new(),
            };
            if let Some(order) = known.map(|at| &taken[at]).filter(|order| order.known_at < now) {
                event.customer = event.customer.or(order.customer);
                event.device = event.device.or(order.device);
                event.ip = event.ip.or(order.ip);
                event.currency = event.currency.or(order.currency);
                event.age = Some(event.time - order.time);
            }
            if raw.is_order() {
                orders.push((raw.order.expect("orders have ids"), taken.len()));
                place[i] = Some(taken.len());
            }
            taken.push(event);
            let waiting = early.iter().rev().filter(|_| raw.is_order()).filter(|label| Some(label.0) == raw.order);
            let newest = waiting.map(|label| (label.1, label.2)).max().filter(|label| now - label.0 <= DAY);
            if let Some((_, fraud)) = newest {
                let at = taken.len() - 1;
                label(&mut taken, at, now, fraud);
            }
            match (raw.kind.is_label(), known, raw.order) {
                (true, Some(at), _) => label(&mut taken, at, now, raw.says.unwrap_or(true)),
                (true, None, Some(id)) => early.push((id, now, raw.says.unwrap_or(true))),
                _ => {}
            }
        }
        Self { taken }
    }

    /// The features of an order that are recounted here, by their text.
    pub(crate) fn features(&self, me: &Raw) -> Vec<(&'static str, f32)> {
        use EventKind as K;
        let t = me.time;
        let seen: Vec<&Taken> = self.taken.iter().filter(|e| e.known_at < t).collect();
        let of = |same: &dyn Fn(&Taken) -> bool| -> Vec<&Taken> { seen.iter().copied().filter(|e| same(e)).collect() };
        let mine = |events: &[&Taken], kind: K, from: i64, until: i64| -> Vec<Taken> {
            events.iter().filter(|e| e.kind == kind && e.time >= from && e.time < until).map(|e| (*e).clone()).collect()
        };
        let first_seen =
            |events: &[&Taken], kinds: &[K]| !events.iter().any(|e| e.is_order() || kinds.contains(&e.kind));
        let value = |missing: bool, new: bool, of_new: f32, value: f64| match (missing, new) {
            (true, _) => f32::NAN,
            (_, true) => of_new,
            _ => value as f32,
        };
        let over = |above: f64, below: f64| if below == 0.0 { 0.0 } else { above / below };
        let month = t - 30 * DAY;

        let customer = of(&|e| me.customer.is_some() && e.customer == me.customer);
        let device = of(&|e| me.device.is_some() && e.device == me.device);
        let ip = of(&|e| me.ip.is_some() && e.ip == me.ip);
        let customer_kinds = [K::Return, K::Refund, K::Login];
        let of_customer = |x: f64| value(me.customer.is_none(), first_seen(&customer, &customer_kinds), -1.0, x);
        let of_device =
            |x: f64| value(me.device.is_none(), first_seen(&device, &[K::PaymentFailed, K::Chargeback]), -1.0, x);

        let n = |events: &[Taken]| events.len() as f64;
        let returns = mine(&customer, K::Return, month, t);
        let ages: Vec<i64> = returns.iter().filter_map(|e| e.age).collect();
        let orders_30 = mine(&customer, K::Order, month, t);
        let orders_7 = mine(&customer, K::Order, t - 7 * DAY, t);
        let small = orders_7.iter().filter(|e| e.amount.is_some_and(|amount| amount < 10_000)).count() as f64;
        let mut devices: Vec<u8> = orders_30.iter().filter_map(|e| e.device).collect();
        devices.sort_unstable();
        devices.dedup();
        let mut reasons: Vec<u8> = returns.iter().filter_map(|e| e.reason).collect();
        reasons.sort_unstable();
        reasons.dedup();
        let shop_rate = over(n(&mine(&seen, K::Return, month, t)), n(&mine(&seen, K::Order, month, t)));
        let ip_rate = over(n(&mine(&ip, K::Return, month, t)), n(&mine(&ip, K::Order, month, t)));
        let rate = over(n(&returns), n(&orders_30));
        let resolved = |events: &[&Taken], from: i64, until: i64| {
            let inside = |e: &&&Taken| e.is_order() && e.resolved_at() >= from && e.resolved_at() < until;
            let orders: Vec<_> = events.iter().filter(inside).collect();
            (orders.iter().filter(|e| e.is_fraud_at(t)).count() as f64, orders.len() as f64)
        };
        let (frauds, known) = resolved(&customer, month, t);
        let (shop_frauds, shop_known) = resolved(&seen, month, t);
        let network = of(&|e| me.ip.is_some() && e.ip.is_some());
        let last_login = customer.iter().filter(|e| e.kind == K::Login && e.time < t).map(|e| e.time).max();
        let pair =
            of(&|e| me.customer.is_some() && me.device.is_some() && e.customer == me.customer && e.device == me.device);
        let pair_missing = me.customer.is_none() || me.device.is_none();
        let ip_rate_now = if ip.is_empty() || first_seen(&ip, &[K::Return]) { -1.0 } else { ip_rate };
        let to_ip = match (me.ip.is_none(), first_seen(&customer, &customer_kinds)) {
            _ if me.customer.is_none() => f32::NAN,
            (true, _) => f32::NAN,
            (_, true) => -1.0,
            _ if ip_rate_now <= 0.0 => 0.0,
            _ => (f64::from(rate as f32) / f64::from(ip_rate_now as f32)) as f32,
        };
        let paid = |events: &[Taken]| -> Vec<i64> {
            events.iter().filter(|e| e.currency == me.currency).filter_map(|e| e.amount).collect()
        };
        let biggest = paid(&mine(&ip, K::Order, t - 7 * DAY, t)).into_iter().max().unwrap_or(0);
        let hour = mine(&device, K::Order, t - HOUR, t);
        let week = mine(&device, K::Order, t - 7 * DAY, t);
        let shop = !seen.iter().any(|e| e.is_order() || e.kind == K::Return);
        vec![
            ("count(order) by customer over 1d", of_customer(n(&mine(&customer, K::Order, t - DAY, t)))),
            ("count(payment_failed) by device over 7d", of_device(n(&mine(&device, K::PaymentFailed, t - 7 * DAY, t)))),
            (
                "count(return) by customer over 30d where reason = \"r0\"",
                of_customer(returns.iter().filter(|e| e.reason == Some(0)).count() as f64),
            ),
            (
                "sum(amount of refund) by customer over 30d",
                of_customer(paid(&mine(&customer, K::Refund, month, t)).iter().sum::<i64>() as f64 / 100.0),
            ),
            ("distinct(device) by customer over 30d", of_customer(devices.len() as f64)),
            ("distinct(reason of return) by customer over 30d", of_customer(reasons.len() as f64)),
            (
                "mean(age of return) by customer over 30d",
                of_customer(over(ages.iter().sum::<i64>() as f64 / 1_000.0, ages.len() as f64)),
            ),
            (
                "rate(return per order) by customer over 30d shrink 5",
                of_customer((n(&returns) + 5.0 * f64::from(shop_rate as f32)) / (n(&orders_30) + 5.0)),
            ),
            ("rate(return per order) by customer over 30d to ip", to_ip),
            ("share(order) by customer over 7d where amount < 100", of_customer(over(small, n(&orders_7)))),
            ("count(chargeback) by device over 30d", of_device(n(&mine(&device, K::Chargeback, month, t)))),
            (
                "fraud_rate by customer over 30d shrink 10",
                of_customer((frauds + 10.0 * f64::from(over(shop_frauds, shop_known) as f32)) / (known + 10.0)),
            ),
            (
                "fraud_count by ip24 over 30d delayed 1d",
                // All addresses are of one network.
                value(me.ip.is_none(), first_seen(&network, &[]), -1.0, resolved(&network, t - 31 * DAY, t - DAY).0),
            ),
            ("since_last(login) by customer", of_customer(last_login.map_or(-1.0, |last| (t - last) as f64 / 1_000.0))),
            ("is_new by customer + device", value(pair_missing, first_seen(&pair, &[]), 1.0, 0.0)),
            ("count(order) by shop over 1d", value(false, shop, -1.0, n(&mine(&seen, K::Order, t - DAY, t)))),
            ("amount", me.amount.map_or(f32::NAN, |amount| (amount as f64 / 100.0) as f32)),
            (
                "max(amount) by ip over 7d",
                value(me.ip.is_none(), first_seen(&ip, &[K::Return]), -1.0, biggest as f64 / 100.0),
            ),
            ("count(order) by device over 1h / 7d", of_device(over(n(&hour), n(&week)))),
        ]
    }
}
