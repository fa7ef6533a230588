//! One event of the simulated stream: an order, or something else that the shop notices.

use std::net::Ipv4Addr;
use std::sync::Arc;

use orderguard_features::kind::EventKind;
use orderguard_features::time::UnixMillis;

use crate::order::{Card, CustomerId, DeviceId, Phone, SimulatedOrder, UserAgent};

/// An event of the stream, on the heap so that moving and sorting them is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SimulatedEvent {
    /// An order, with its label.
    Order(Box<SimulatedOrder>),
    /// Anything else.
    Other(Box<OtherEvent>),
}

/// An event that is no order. `None` is what does not belong to the kind of event, or what the shop did not receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherEvent {
    /// Running number of the event, one count with the orders.
    pub event_id: u64,
    /// What happened; never [`EventKind::Order`].
    pub kind: EventKind,
    /// When it happened, whole seconds.
    pub time: UnixMillis,
    /// When the shop learned it, at or after `time`.
    pub known_at: UnixMillis,
    /// The order that it is about.
    pub order_id: Option<u64>,
    /// The account.
    pub customer_id: CustomerId,
    /// Name, of a sign-up.
    pub name: Option<Arc<str>>,
    /// E-mail address, of a sign-up.
    pub email: Option<Arc<str>>,
    /// Telephone number, of a sign-up.
    pub phone: Option<Phone>,
    /// Device of a visit.
    pub device: Option<DeviceId>,
    /// What the browser of a visit says of itself.
    pub user_agent: Option<UserAgent>,
    /// Network address of a visit.
    pub ip: Option<Ipv4Addr>,
    /// Card that failed, was added or was charged back.
    pub card: Option<Card>,
    /// How it was to be paid.
    pub payment_method: Option<&'static str>,
    /// Goods that came back, are claimed or reviewed.
    pub category: Option<&'static str>,
    /// Cents that failed, came back or are claimed.
    pub amount_cents: Option<i64>,
    /// Currency of the amount.
    pub currency: Option<&'static str>,
    /// Why: of a failed payment, a return, a claim, a chargeback, a report or a cancellation.
    pub reason: Option<&'static str>,
    /// What a contact is about, what was verified or changed.
    pub topic: Option<&'static str>,
    /// Whether a claim came with a proof.
    pub proof: Option<bool>,
    /// Whether returned goods were in their packaging.
    pub packaging: Option<bool>,
    /// Stars of a review, 1 to 5.
    pub rating: Option<u8>,
    /// Of a chargeback or report: true = the order is fraud, false = an earlier one is reversed.
    pub label: Option<bool>,
}

impl OtherEvent {
    /// An event known at once, with nothing but its account.
    pub(crate) fn new(kind: EventKind, second: i64, customer_id: CustomerId) -> Self {
        let time = UnixMillis(second * 1_000);
        Self {
            event_id: 0,
            kind,
            time,
            known_at: time,
            order_id: None,
            customer_id,
            name: None,
            email: None,
            phone: None,
            device: None,
            user_agent: None,
            ip: None,
            card: None,
            payment_method: None,
            category: None,
            amount_cents: None,
            currency: None,
            reason: None,
            topic: None,
            proof: None,
            packaging: None,
            rating: None,
            label: None,
        }
    }

    /// An event about an order.
    pub(crate) fn about(kind: EventKind, order: &SimulatedOrder, second: i64) -> Self {
        Self { order_id: Some(order.order_id), ..Self::new(kind, second, order.customer_id) }
    }
}

impl SimulatedEvent {
    /// What happened.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::Order(_) => EventKind::Order,
            Self::Other(event) => event.kind,
        }
    }

    /// When it happened.
    pub fn time(&self) -> UnixMillis {
        match self {
            Self::Order(order) => order.time,
            Self::Other(event) => event.time,
        }
    }

    /// When the shop learned it: of an order, when it was placed.
    pub fn known_at(&self) -> UnixMillis {
        match self {
            Self::Order(order) => order.time,
            Self::Other(event) => event.known_at,
        }
    }

    /// Running number.
    pub fn event_id(&self) -> u64 {
        match self {
            Self::Order(order) => order.event_id,
            Self::Other(event) => event.event_id,
        }
    }

    /// The order that this is, or is about.
    pub fn order_id(&self) -> Option<u64> {
        match self {
            Self::Order(order) => Some(order.order_id),
            Self::Other(event) => event.order_id,
        }
    }

    /// The account.
    pub fn customer_id(&self) -> CustomerId {
        match self {
            Self::Order(order) => order.customer_id,
            Self::Other(event) => event.customer_id,
        }
    }

    pub(crate) fn set_event_id(&mut self, id: u64) {
        match self {
            Self::Order(order) => order.event_id = id,
            Self::Other(event) => event.event_id = id,
        }
    }
}
