//! The seven kinds of abuse.

use orderguard_features::kind::EventKind;

use super::people::{Ring, a_device, alias, drop_place, impostor, masked_ip, tempting};
use super::{Episode, Plot, Underworld};
use crate::around::{Conduct, Planned, sign_up};
use crate::customer::{self, Customer, Population};
use crate::event::OtherEvent;
use crate::honest;
use crate::order::{Address, DeviceId, FraudKind, SimulatedOrder, UserAgent};
use crate::random::Random;
use crate::world::{self, CATEGORIES};

impl Underworld {
    /// What the kind of abuse does at those seconds.
    pub(super) fn carry_out(
        &mut self,
        episode: &Episode,
        seconds: &[i64],
        population: &mut Population,
        random: &mut Random,
    ) -> Plot {
        let rings = &self.rings[usize::from(episode.is_modern)];
        match episode.kind {
            FraudKind::Chargeback | FraudKind::RefundAbuse => self.claim(episode, seconds, population, random),
            FraudKind::FakeOrder => fake(rings, episode, seconds, population, random),
            FraudKind::StolenCard => steal(rings, episode, seconds, population, random),
            FraudKind::AccountTakeover => take_over(rings, episode, seconds, population, random),
            FraudKind::CouponAbuse => coupons(episode, seconds, population, random),
            FraudKind::Bot => bot(rings, episode, seconds, population, random),
        }
    }

    /// Ordinary customers with a habit of charging back or claiming. Their own orders go on between these.
    fn claim(&mut self, episode: &Episode, seconds: &[i64], population: &mut Population, random: &mut Random) -> Plot {
        let is_refund = episode.kind == FraudKind::RefundAbuse;
        let mut plot = Plot::default();
        let habitual = &mut self.habitual[usize::from(is_refund)];
        let actor = if !habitual.is_empty() && random.chance(0.6) {
            *random.pick(habitual)
        } else if random.chance(0.6) {
            population.buyer(random)
        } else {
            let age = (random.exponential(5.0 * 86_400.0) as i64).min(seconds[0] - episode.prepared);
            let mut person = population.person(seconds[0] - age, random);
            if random.chance(0.7) {
                person.payment = "card";
            }
            open_account(&person, None, 0.7, population, &mut plot, random);
            population.add(person)
        };
        habitual.push(actor);
        if is_refund {
            // The habit does not wait for an episode.
            let habits = &mut population.customers[actor].habits;
            habits.returns = habits.returns.max(1.8);
            habits.at_limit = habits.at_limit.max(0.45);
            habits.contacts = habits.contacts.max(2.5);
        }
        let mut account = population.customers[actor].clone();
        // What worked once is said again.
        let reason = ["not_received", "damaged", "not_as_described", "stolen"][account.id.0 as usize % 4];
        for (i, &second) in seconds.iter().enumerate() {
            if i > 0 && random.chance(0.2) {
                // The shop may have noticed: another account at the same place.
                account = alias(&account, second, episode, population, random);
                open_account(&account, None, 0.7, population, &mut plot, random);
            }
            let mut order = honest::order(&account, second, population, random);
            let mut conduct = Conduct::of(&account);
            if is_refund {
                conduct.returns_at_least = 0.4;
                conduct.claims_at_least = 0.8;
                conduct.claim_reason = reason;
                conduct.proof = 0.15;
                conduct.packaging = 0.45;
                conduct.asks_early = 0.45;
                conduct.presses = 0.5;
                conduct.habits.at_limit = 0.6;
                conduct.habits.contacts = conduct.habits.contacts.max(1.0) * 5.0;
                conduct.habits.reviews *= 2.0;
                conduct.extreme_reviews = true;
            } else {
                if random.chance(0.7) {
                    pay_by_card(&mut order, &account, random);
                }
                if random.chance(0.3) {
                    order.shipping = population.parcel_shop(account.country, random);
                }
                conduct.claims_at_least = 0.14;
                conduct.claim_reason = "not_received";
                conduct.proof = 0.3;
                conduct.presses = 0.3;
                conduct.habits.contacts *= 2.5;
            }
            if random.chance(0.85) {
                let taste = account.taste * random.log_normal(1.9, 0.4);
                honest::pay(&mut order, &honest::basket(tempting(random), taste, random));
            }
            plot.orders.push(Planned { order: Box::new(order), conduct });
        }
        plot
    }
}

/// False identities that never pay.
fn fake(rings: &[Ring], episode: &Episode, seconds: &[i64], population: &mut Population, random: &mut Random) -> Plot {
    let ring = random.chance(0.65).then(|| random.pick(rings));
    let mut plot = Plot::default();
    let mut actor = impostor(ring, seconds[0], episode, population, random);
    let device = a_device(ring, 1.0, random);
    open_account(&actor, Some(device), 0.4, population, &mut plot, random);
    for (i, &second) in seconds.iter().enumerate() {
        if i > 0 && random.chance(0.55) {
            let place = actor.home;
            actor = impostor(ring, second, episode, population, random);
            if random.chance(0.6) {
                actor.home = Address { flat: random.between(1, 24) as u16, ..place };
            }
            open_account(&actor, Some(device), 0.4, population, &mut plot, random);
        }
        let mut order = honest::order(&actor, second, population, random);
        if order.device.is_some() {
            let own = actor.devices()[0];
            use_device(&mut order, Some(if random.chance(0.7) { device } else { own }));
        }
        if order.ip.is_some() && random.chance(0.45) {
            order.ip = Some(masked_ip(&actor, ring, episode.is_modern, random));
        }
        if random.chance(0.8) {
            let methods = if episode.is_modern { ["wallet", "bank_transfer"] } else { ["invoice", "cash_on_delivery"] };
            order.payment_method = methods[usize::from(random.chance(0.3))];
            order.card = None;
        }
        if random.chance(0.6) {
            order.shipping = drop_place(&actor, ring, population, random);
        }
        let taste = actor.taste * random.log_normal(1.7, 0.4);
        honest::pay(&mut order, &honest::basket(tempting(random), taste, random));
        let conduct = Conduct {
            // Nobody pays or nobody takes it: weeks later the shop gives up.
            cancels: (0.4, 15.0),
            cancel_reason: if random.chance(0.6) { "not_paid" } else { "not_accepted" },
            ..quiet(&actor)
        };
        plot.orders.push(Planned { order: Box::new(order), conduct });
    }
    plot
}

/// Cards of strangers: failed payments and, sometimes, small charges first, then dear goods to an address that is not the
/// card holder's.
fn steal(rings: &[Ring], episode: &Episode, seconds: &[i64], population: &mut Population, random: &mut Random) -> Plot {
    let ring = random.chance(0.55).then(|| random.pick(rings));
    let mut plot = Plot::default();
    let mut actor = impostor(ring, seconds[0], episode, population, random);
    let device = a_device(ring, 1.0, random);
    open_account(&actor, Some(device), 0.45, population, &mut plot, random);
    let tests_cards = seconds.len() >= 3 && random.chance(if episode.is_modern { 0.15 } else { 0.6 });
    let n_tests = if tests_cards { seconds.len() / 3 } else { 0 };
    let keeps_address = random.chance(0.35);
    for (i, &second) in seconds.iter().enumerate() {
        if i > 0 && random.chance(0.45) {
            actor.cards = [customer::card(customer::pick_country(random), random); 2];
        }
        if i > 0 && random.chance(0.2) {
            actor = impostor(ring, second, episode, population, random);
            open_account(&actor, Some(device), 0.45, population, &mut plot, random);
        }
        let mut order = honest::order(&actor, second, population, random);
        pay_by_card(&mut order, &actor, random);
        if order.device.is_some() {
            let own = actor.devices()[0];
            let shown = (!random.chance(0.12)).then(|| if random.chance(0.8) { device } else { own });
            use_device(&mut order, shown);
        }
        if order.ip.is_some() {
            order.ip = Some(masked_ip(&actor, ring, episode.is_modern, random));
        }
        if !keeps_address {
            order.shipping = drop_place(&actor, ring, population, random);
        }
        if let Some(visit) = &mut order.session_seconds
            && random.chance(0.5)
        {
            *visit = random.log_normal(120.0, 0.7).clamp(4.0, 14_400.0) as u32;
        }
        if random.chance(0.08) {
            order.currency = population.unusual_currency(order.currency, random);
        }
        let taste = if i < n_tests { 0.12 } else { actor.taste * random.log_normal(1.9, 0.4) };
        let category = if i < n_tests { 5 } else { tempting(random) };
        honest::pay(&mut order, &honest::basket(category, taste, random));
        let mut conduct = quiet(&actor);
        // Most of the cards in the list no longer work.
        conduct.failures = (0.5, 0.55);
        if random.chance(0.7) {
            let n_cards = random.between(1, 5);
            conduct.tried_cards =
                (0..n_cards).map(|_| customer::card(customer::pick_country(random), random)).collect();
        }
        plot.orders.push(Planned { order: Box::new(order), conduct });
    }
    plot
}

/// An account that has been quiet, in strange hands: somebody logs in from elsewhere, changes what is needed, and buys.
fn take_over(
    rings: &[Ring],
    episode: &Episode,
    seconds: &[i64],
    population: &mut Population,
    random: &mut Random,
) -> Plot {
    let ring = random.chance(0.5).then(|| random.pick(rings));
    let mut plot = Plot::default();
    let likes_busy = random.chance(0.6);
    let pick = |random: &mut Random| if likes_busy { population.buyer(random) } else { population.anybody(random) };
    let mut victim = pick(random);
    for _ in 0..12 {
        if population.customers[victim].signup < seconds[0] - 60 * 86_400 {
            break;
        }
        victim = pick(random);
    }
    let mut victim = population.customers[victim].clone();
    let device = a_device(ring, 0.4, random);
    let drop = drop_place(&victim, ring, population, random);
    let changes_address = random.chance(if episode.is_modern { 0.5 } else { 0.8 });
    let ip = masked_ip(&victim, ring, episode.is_modern, random);
    // The first look, hours or minutes before.
    let is_patient = random.chance(0.5);
    let look = seconds[0] - 300 - random.exponential(if is_patient { 40_000.0 } else { 1_200.0 }) as i64;
    let look = look.max(episode.prepared).max(victim.signup);
    let mut visit = |kind, second, topic, random: &mut Random| {
        let mut event = OtherEvent::new(kind, second, victim.id);
        event.device = (!random.chance(0.1)).then_some(device);
        event.user_agent = Some(UserAgent::of(device.0, second));
        event.ip = Some(ip);
        event.topic = topic;
        plot.events.push(event);
    };
    if look <= seconds[0] {
        visit(EventKind::Login, look, None, random);
        if random.chance(0.7) {
            let topics = ["card", "address", "phone", "bank_account"];
            let second = look + ((seconds[0] - look) as f64 * 0.8 * random.unit()) as i64;
            visit(
                EventKind::PaymentChange,
                second,
                Some(topics[random.weighted(&[5.0, 3.0, 2.0, 1.0], |w| *w)]),
                random,
            );
        }
    }
    let pays_anew = random.chance(0.4);
    if pays_anew {
        victim.cards = [customer::card(customer::pick_country(random), random); 2];
    }
    for &second in seconds {
        let mut order = honest::order(&victim, second, population, random);
        if order.device.is_some() {
            use_device(&mut order, (!random.chance(0.1)).then_some(device));
        }
        if order.ip.is_some() {
            order.ip = Some(if random.chance(0.6) { ip } else { masked_ip(&victim, ring, episode.is_modern, random) });
        }
        order.shipping = if changes_address { drop } else { victim.home };
        if pays_anew {
            pay_by_card(&mut order, &victim, random);
        } else if random.chance(0.2) {
            (order.payment_method, order.card) = (*random.pick(&["wallet", "invoice"]), None);
        }
        if random.chance(0.06) {
            order.currency = population.unusual_currency(order.currency, random);
        }
        let taste = victim.taste * random.log_normal(2.4, 0.4);
        honest::pay(&mut order, &honest::basket(tempting(random), taste, random));
        let mut conduct = quiet(&victim);
        conduct.logs_in = 0.8;
        conduct.failures = (if pays_anew { 0.25 } else { 0.06 }, 0.4);
        plot.orders.push(Planned { order: Box::new(order), conduct });
    }
    plot
}

/// One person who opens an account per voucher, and writes reviews from all of them.
fn coupons(episode: &Episode, seconds: &[i64], population: &mut Population, random: &mut Random) -> Plot {
    let mut plot = Plot::default();
    let mut account = population.person(seconds[0] - 120, random);
    let shares_device = random.chance(0.75);
    let shares_address = random.chance(0.7);
    let writes = random.chance(0.55);
    let praised = CATEGORIES[random.weighted(&CATEGORIES, |c| c.popularity)].name;
    let stars = if random.chance(0.75) { 5 } else { 1 };
    for (i, &second) in seconds.iter().enumerate() {
        if i > 0 {
            account = alias(&account, second, episode, population, random);
            if !shares_device || random.chance(0.15) {
                account.use_only(customer::device(random));
            }
            if !shares_address {
                account.home = customer::address_near(&account.home, random);
            }
        }
        open_account(&account, None, 0.6, population, &mut plot, random);
        let mut order = honest::order(&account, second, population, random);
        if random.chance(0.85) {
            order.coupon = Some(world::WELCOME_COUPON);
        }
        let category = *random.pick(&account.favourites);
        honest::pay(&mut order, &honest::basket(category, account.taste, random));
        if writes {
            // Of things that this account never bought, minutes after each other.
            let mut at = (second - 60 - random.exponential(900.0) as i64).max(account.signup + 1);
            for _ in 0..random.between(1, 4) {
                let mut review = OtherEvent::new(EventKind::Review, at, account.id);
                review.category = Some(praised);
                review.rating = Some(stars);
                plot.events.push(review);
                at += random.between(20, 400);
            }
        }
        plot.orders.push(Planned::ordinary(order, &account));
    }
    plot
}

/// Programs that buy the same offer again and again, at regular intervals.
fn bot(rings: &[Ring], episode: &Episode, seconds: &[i64], population: &mut Population, random: &mut Random) -> Plot {
    let ring = Some(random.pick(rings));
    let mut plot = Plot::default();
    let goods = honest::basket(tempting(random), random.log_normal(0.8, 0.3), random);
    let is_fast = random.chance(0.7);
    let says_so = random.chance(if episode.is_modern { 0.1 } else { 0.3 });
    let program = random.bits();
    let device = customer::device(random);
    let mut actor = impostor(ring, seconds[0], episode, population, random);
    open_account(&actor, Some(device), 0.3, population, &mut plot, random);
    let drops: Vec<Address> = (0..3).map(|_| drop_place(&actor, ring, population, random)).collect();
    for (i, &second) in seconds.iter().enumerate() {
        if i > 0 && random.chance(0.4) {
            actor = impostor(ring, second, episode, population, random);
            open_account(&actor, Some(device), 0.3, population, &mut plot, random);
        }
        let mut order = honest::order(&actor, second, population, random);
        order.channel = "web";
        order.ip = Some(masked_ip(&actor, ring, episode.is_modern, random));
        let shown = if random.chance(0.7) { device } else { actor.devices()[0] };
        order.user_agent =
            Some(if says_so { UserAgent::program(program, second) } else { UserAgent::of(shown.0, second) });
        order.device = random.chance(0.6).then_some(shown);
        order.shipping = *random.pick(&drops);
        order.special_offer = random.chance(0.8);
        let median = if is_fast { 14.0 } else { 60.0 };
        order.session_seconds = Some(random.log_normal(median, 0.5).clamp(3.0, 600.0) as u32);
        honest::pay(&mut order, &goods);
        let conduct = Conduct { cancels: (0.12, 0.2), ..quiet(&actor) };
        plot.orders.push(Planned { order: Box::new(order), conduct });
    }
    plot
}

/// Of those who want nothing from the shop but the goods: no letters, no reviews, hardly a return.
fn quiet(actor: &Customer) -> Conduct {
    let mut conduct = Conduct::of(actor);
    conduct.habits.contacts *= 0.3;
    conduct.habits.reviews *= 0.2;
    conduct.habits.returns *= 0.4;
    conduct.habits.claims *= 0.5;
    conduct
}

/// Notes that the account was opened, on that device where it is not the account's own.
fn open_account(
    actor: &Customer,
    device: Option<DeviceId>,
    confirms: f64,
    population: &Population,
    plot: &mut Plot,
    random: &mut Random,
) {
    let ip = honest::ip(actor, actor.signup, population, random);
    let shown = (!actor.hides_device).then(|| device.unwrap_or(actor.devices()[0]));
    plot.events.extend(sign_up(actor, shown, ip, confirms, random));
}

/// The browser goes with the device; one that shows no device still says what it is.
fn use_device(order: &mut SimulatedOrder, device: Option<DeviceId>) {
    let hidden = DeviceId(u64::from(order.customer_id.0));
    order.user_agent = Some(UserAgent::of(device.unwrap_or(hidden).0, order.time.0.div_euclid(1_000)));
    order.device = device;
}

fn pay_by_card(order: &mut SimulatedOrder, account: &Customer, random: &mut Random) {
    order.payment_method = "card";
    order.card = Some(*random.pick(&account.cards));
}
