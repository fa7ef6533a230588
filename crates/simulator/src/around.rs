//! What surrounds orders: the log-in and the failed payment before, the return, claim, letter and review after, and what
//! happens in a shop without any order.

use orderguard_features::kind::EventKind;

use crate::customer::{self, Customer, Habits, Population};
use crate::diary::{DAY_SECS, Diary};
use crate::event::OtherEvent;
use crate::honest;
use crate::order::{Card, DeviceId, SimulatedOrder, UserAgent};
use crate::random::Random;
use crate::world::CATEGORIES;

/// How somebody deals with the shop around one order.
#[derive(Clone, Debug)]
pub(crate) struct Conduct {
    pub(crate) habits: Habits,
    /// Probability that the visit begins with a log-in.
    pub(crate) logs_in: f64,
    /// Probability that a payment fails before the order, and that another one follows each.
    pub(crate) failures: (f64, f64),
    /// Cards that fail before the one of the order does not; empty = the order's own.
    pub(crate) tried_cards: Vec<Card>,
    /// Probability that the order is cancelled, and after how many days (median).
    pub(crate) cancels: (f64, f64),
    /// Why orders are cancelled; empty = one of the usual reasons.
    pub(crate) cancel_reason: &'static str,
    /// Least probability of a return, whatever the category.
    pub(crate) returns_at_least: f64,
    /// Least probability of a claim without a return.
    pub(crate) claims_at_least: f64,
    /// The reason given again and again; empty = whatever happened.
    pub(crate) claim_reason: &'static str,
    /// Share of the claims with a proof, and of the returns in their packaging.
    pub(crate) proof: f64,
    pub(crate) packaging: f64,
    /// Probability of a question about returns before anything was delivered.
    pub(crate) asks_early: f64,
    /// Share of the contacts that press or complain.
    pub(crate) presses: f64,
    /// Whether reviews have one star or five.
    pub(crate) extreme_reviews: bool,
}

/// An order and how it will go on.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) order: Box<SimulatedOrder>,
    pub(crate) conduct: Conduct,
}

impl Planned {
    /// An order of somebody who deals with the shop as usual.
    pub(crate) fn ordinary(order: SimulatedOrder, customer: &Customer) -> Self {
        Self { order: Box::new(order), conduct: Conduct::of(customer) }
    }

    /// Second since 1970 at which it is placed.
    pub(crate) fn second(&self) -> i64 {
        self.order.time.0.div_euclid(1_000)
    }
}

impl Conduct {
    /// That of an ordinary customer.
    pub(crate) fn of(customer: &Customer) -> Self {
        let habits = customer.habits;
        Self {
            habits,
            logs_in: if customer.n_orders == 0 { 0.15 } else { 0.6 },
            failures: (0.02 * habits.failures, 0.3),
            tried_cards: Vec::new(),
            cancels: (0.03, 0.35),
            cancel_reason: "",
            returns_at_least: 0.0,
            claims_at_least: 0.0,
            claim_reason: "",
            proof: 0.75,
            packaging: 0.92,
            asks_early: 0.008 * habits.contacts,
            presses: 0.1,
            extreme_reviews: false,
        }
    }
}

/// What comes before the order, at most 20 hours.
pub(crate) fn before(order: &SimulatedOrder, conduct: &Conduct, diary: &mut Diary, random: &mut Random) {
    let second = order.time.0.div_euclid(1_000);
    // Nothing happens in an account before it is there.
    let earliest = order.signup_time.0.div_euclid(1_000);
    let visit = |kind, at: i64| {
        let mut event = OtherEvent::new(kind, at.max(earliest), order.customer_id);
        event.device = order.device;
        event.user_agent = order.user_agent;
        event.ip = order.ip;
        event
    };
    if order.ip.is_some() && random.chance(conduct.logs_in) {
        let length = order.session_seconds.map_or(200.0, f64::from);
        diary.note(visit(EventKind::Login, second - 1 - (length * random.unit()) as i64), random);
    }
    if random.chance(conduct.failures.0) {
        let n_failures = 1 + customer::geometric(conduct.failures.1, 14, random);
        let reason = failure(random);
        for i in (1..=n_failures).rev() {
            let mut event = visit(EventKind::PaymentFailed, second - (i as i64) * random.between(12, 75));
            event.card =
                if conduct.tried_cards.is_empty() { order.card } else { Some(*random.pick(&conduct.tried_cards)) };
            event.payment_method = Some(if event.card.is_some() { "card" } else { order.payment_method });
            event.amount_cents = Some(order.amount_cents);
            event.currency = Some(order.currency);
            event.reason = Some(if random.chance(0.7) { reason } else { failure(random) });
            diary.note(event, random);
        }
    }
    if random.chance(0.012 * conduct.habits.contacts) {
        let mut event = OtherEvent::new(EventKind::Contact, second - random.between(600, 70_000), order.customer_id);
        event.topic = Some(["product", "delivery", "invoice"][random.weighted(&[6.0, 3.0, 1.0], |w| *w)]);
        if event.time >= order.signup_time {
            diary.note(event, random);
        }
    }
}

fn failure(random: &mut Random) -> &'static str {
    const REASONS: [&str; 5] = ["declined", "insufficient_funds", "wrong_code", "authentication_failed", "expired"];
    REASONS[random.weighted(&[40.0, 25.0, 15.0, 15.0, 5.0], |w| *w)]
}

/// What follows the order: cancelled, or delivered and then kept, sent back, claimed, written about.
pub(crate) fn after(order: &SimulatedOrder, conduct: &Conduct, diary: &mut Diary, random: &mut Random) {
    let placed = order.time.0.div_euclid(1_000);
    let days = |n: f64| (n * DAY_SECS as f64) as i64;
    if random.chance(conduct.cancels.0) {
        let at = placed + 60 + days(random.log_normal(conduct.cancels.1, 0.8).min(60.0));
        let mut event = OtherEvent::about(EventKind::Cancel, order, at);
        event.reason = Some(if conduct.cancel_reason.is_empty() {
            ["changed_mind", "by_mistake", "too_slow", "out_of_stock"][random.weighted(&[5.0, 2.0, 2.0, 2.0], |w| *w)]
        } else {
            conduct.cancel_reason
        });
        diary.note(event, random);
        if matches!(order.payment_method, "card" | "wallet" | "bank_transfer") {
            refund(order, order.amount_cents, at + days(random.log_normal(1.5, 0.5)), diary, random);
        }
        return;
    }
    // Some orders stay open for weeks: not in stock, lost in the post.
    let waits = if random.chance(0.07) { 5.0 + random.exponential(8.0) } else { 0.0 };
    let delivered = placed + days(0.8 + random.log_normal(1.9, 0.45) + waits);
    if random.chance(conduct.asks_early) {
        let at = placed + ((delivered - placed) as f64 * (0.1 + 0.8 * random.unit())) as i64;
        contact(order, "return", at, diary, random);
    }
    let share = CATEGORIES.iter().find(|c| c.name == order.category).map_or(0.0, |c| c.returns);
    let habit =
        if share > 0.0 { (share * conduct.habits.returns).max(conduct.returns_at_least).min(0.95) } else { 0.0 };
    if random.chance(habit) {
        give_back(order, conduct, delivered, diary, random);
    } else if random.chance((0.011 * conduct.habits.claims).max(conduct.claims_at_least).min(0.95)) {
        claim(order, conduct, delivered, diary, random);
    }
    let mean = random_mean(0.07 * conduct.habits.contacts, random);
    for _ in 0..random.about(mean).min(12) {
        let topic = if random.chance(conduct.presses) {
            "complaint"
        } else {
            ["delivery", "product", "invoice", "return"][random.weighted(&[45.0, 18.0, 14.0, 23.0], |w| *w)]
        };
        let at = if topic == "delivery" { placed + days(random.unit() * 4.0) } else { delivered };
        contact(order, topic, at + days(random.exponential(2.5)), diary, random);
    }
    if random.chance((0.06 * conduct.habits.reviews).min(0.8)) {
        let mut event = OtherEvent::about(EventKind::Review, order, delivered + days(random.log_normal(5.0, 0.8)));
        event.category = Some(order.category);
        event.rating = Some(stars(conduct.extreme_reviews, random));
        diary.note(event, random);
    }
}

/// Exponential around the mean: some write often, most never. Nothing is drawn for those who never do.
fn random_mean(mean: f64, random: &mut Random) -> f64 {
    if mean > 0.0 { random.exponential(mean) } else { 0.0 }
}

fn stars(is_extreme: bool, random: &mut Random) -> u8 {
    let weights = if is_extreme { [45.0, 3.0, 2.0, 5.0, 45.0] } else { [8.0, 5.0, 10.0, 27.0, 50.0] };
    1 + random.weighted(&weights, |w| *w) as u8
}

fn contact(order: &SimulatedOrder, topic: &'static str, at: i64, diary: &mut Diary, random: &mut Random) {
    let mut event = OtherEvent::about(EventKind::Contact, order, at);
    event.topic = Some(topic);
    diary.note(event, random);
}

fn refund(order: &SimulatedOrder, cents: i64, at: i64, diary: &mut Diary, random: &mut Random) {
    let mut event = OtherEvent::about(EventKind::Refund, order, at);
    event.category = Some(order.category);
    event.amount_cents = Some(cents);
    event.currency = Some(order.currency);
    diary.note(event, random);
}

/// Goods come back, mostly within days, some on the last of 14 or 30 days; the money follows.
fn give_back(order: &SimulatedOrder, conduct: &Conduct, delivered: i64, diary: &mut Diary, random: &mut Random) {
    let after_days = if random.chance(conduct.habits.at_limit) {
        let limit = if random.chance(0.75) { 13.0 } else { 28.5 };
        limit + 1.8 * random.unit()
    } else {
        random.log_normal(4.5, 0.6).min(13.0)
    };
    let at = delivered + (after_days * DAY_SECS as f64) as i64;
    let pieces = if random.chance(0.6) { order.n_items } else { random.between(1, i64::from(order.n_items)) as u32 };
    let cents = (order.amount_cents * i64::from(pieces) / i64::from(order.n_items.max(1))).max(1);
    let mut event = OtherEvent::about(EventKind::Return, order, at);
    event.category = Some(order.category);
    event.amount_cents = Some(cents);
    event.currency = Some(order.currency);
    let weights = if matches!(order.category, "clothing" | "shoes") {
        [55.0, 25.0, 6.0, 9.0, 5.0]
    } else {
        [4.0, 45.0, 22.0, 20.0, 9.0]
    };
    let reasons = ["does_not_fit", "not_liked", "damaged", "not_as_described", "wrong_item"];
    event.reason = Some(reasons[random.weighted(&weights, |w| *w)]);
    event.packaging = Some(random.chance(conduct.packaging));
    diary.note(event, random);
    refund(order, cents, at + (random.log_normal(2.5, 0.5) * DAY_SECS as f64) as i64, diary, random);
}

/// The customer keeps the goods, or has none, and wants the money back.
fn claim(order: &SimulatedOrder, conduct: &Conduct, delivered: i64, diary: &mut Diary, random: &mut Random) {
    const REASONS: [&str; 4] = ["not_received", "damaged", "not_as_described", "stolen"];
    let at = delivered + (random.exponential(2.2) * DAY_SECS as f64) as i64;
    let mut event = OtherEvent::about(EventKind::RefundClaim, order, at);
    event.category = Some(order.category);
    event.amount_cents = Some(order.amount_cents);
    event.currency = Some(order.currency);
    event.reason = Some(if !conduct.claim_reason.is_empty() && random.chance(0.85) {
        conduct.claim_reason
    } else {
        REASONS[random.weighted(&[38.0, 30.0, 24.0, 8.0], |w| *w)]
    });
    event.proof = Some(random.chance(conduct.proof));
    diary.note(event, random);
    if random.chance(0.8) {
        refund(order, order.amount_cents, at + (random.log_normal(4.0, 0.5) * DAY_SECS as f64) as i64, diary, random);
    }
}

/// The account is opened, from that device and address, and confirmed with that probability.
pub(crate) fn sign_up(
    customer: &Customer,
    device: Option<DeviceId>,
    ip: std::net::Ipv4Addr,
    confirms: f64,
    random: &mut Random,
) -> Vec<OtherEvent> {
    let mut event = OtherEvent::new(EventKind::Signup, customer.signup, customer.id);
    event.name = Some(customer.name.clone());
    event.email = Some(customer.email.clone());
    event.phone = customer.phone;
    event.device = device;
    event.user_agent = Some(UserAgent::of(device.map_or(u64::from(customer.id.0), |d| d.0), customer.signup));
    event.ip = Some(ip);
    let mut events = vec![event];
    for (topic, probability) in
        [("email", confirms), ("phone", if customer.phone.is_some() { confirms * 0.25 } else { 0.0 })]
    {
        if random.chance(probability) {
            let at = customer.signup + 15 + random.exponential(240.0) as i64;
            let mut event = OtherEvent::new(EventKind::Verification, at, customer.id);
            event.topic = Some(topic);
            events.push(event);
        }
    }
    events
}

/// A day without orders would still have these: visits, abandoned payments, new cards, questions, reviews of things
/// bought elsewhere. `n_orders` is how many orders the day has.
pub(crate) fn background(
    day_start: i64,
    n_orders: u64,
    population: &mut Population,
    diary: &mut Diary,
    random: &mut Random,
) {
    const PER_ORDER: [(EventKind, f64); 6] = [
        (EventKind::Login, 0.45),
        (EventKind::PaymentFailed, 0.008),
        (EventKind::PaymentChange, 0.012),
        (EventKind::Contact, 0.018),
        (EventKind::Review, 0.006),
        (EventKind::Verification, 0.01),
    ];
    for (kind, share) in PER_ORDER {
        for _ in 0..random.about(share * n_orders as f64) {
            let buyer = population.buyer(random);
            let person = &population.customers[buyer];
            let second = day_start + (honest::second_of_day(person, random) - day_start).rem_euclid(DAY_SECS);
            if second < person.signup {
                continue;
            }
            idle(kind, person, second, population, diary, random);
        }
    }
}

/// One such event, or a few of them.
fn idle(
    kind: EventKind,
    person: &Customer,
    second: i64,
    population: &Population,
    diary: &mut Diary,
    random: &mut Random,
) {
    let mut event = OtherEvent::new(kind, second, person.id);
    if !matches!(kind, EventKind::Contact | EventKind::Review) {
        // Sometimes a telephone that was never seen before: a friend's, a new one.
        let used = if random.chance(0.05) { customer::device(random) } else { honest::device(person, random) };
        event.device = (!person.hides_device).then_some(used);
        event.user_agent = Some(UserAgent::of(used.0, second));
        event.ip = Some(honest::ip(person, second, population, random));
    }
    match kind {
        EventKind::PaymentFailed => {
            event.card = Some(person.cards[0]);
            event.payment_method = Some("card");
            event.reason = Some(failure(random));
            let category = random.weighted(&CATEGORIES, |c| c.popularity);
            event.amount_cents = Some(honest::basket(category, person.taste, random).goods_cents);
            event.currency = Some("EUR");
        }
        EventKind::PaymentChange => {
            event.topic =
                Some(["card", "bank_account", "address", "phone"][random.weighted(&[5.0, 2.0, 3.0, 1.0], |w| *w)]);
            event.card = (event.topic == Some("card")).then_some(person.cards[1]);
        }
        EventKind::Contact => {
            event.topic = Some(["product", "account", "invoice", "complaint", "return"][random.below(5) as usize]);
        }
        EventKind::Verification => {
            event.topic = Some(["email", "phone", "identity"][random.weighted(&[5.0, 3.0, 1.0], |w| *w)]);
        }
        EventKind::Review => {
            // Some like to write, and write of several things at once.
            let n_reviews = if random.chance(0.08) { random.between(2, 4) } else { 1 };
            for i in 0..n_reviews {
                let mut review = OtherEvent::new(kind, second + i * random.between(60, 900), person.id);
                review.category = Some(CATEGORIES[random.weighted(&CATEGORIES, |c| c.popularity)].name);
                review.rating = Some(stars(false, random));
                diary.note(review, random);
            }
            return;
        }
        _ => {}
    }
    diary.note(event, random);
}

/// The customer writes down a new address, some hours before an order from there.
pub(crate) fn change_address(order: &SimulatedOrder, random: &mut Random) -> OtherEvent {
    let second = order.time.0.div_euclid(1_000) - random.between(30, 70_000);
    let mut event = OtherEvent::new(EventKind::PaymentChange, second, order.customer_id);
    event.time = event.time.max(order.signup_time);
    event.known_at = event.time;
    event.topic = Some("address");
    event.device = order.device;
    event.user_agent = order.user_agent;
    event.ip = order.ip;
    event
}
