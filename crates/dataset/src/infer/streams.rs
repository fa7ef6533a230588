//! What the columns of a stream of events are: the kind of each row, ids and arrivals of events, what only other events than
//! orders have; and the places of orders.

use orderguard_features::kind::EventKind;
use orderguard_features::schema::{Available, Role};

use super::classify::{Decision, can_be_place};
use super::evidence::{Evidence, TimeReading, count};
use super::message::{InferError, Note};
use super::{InferOptions, SaysKinds, best, evidence_of, names};
use crate::profile::Profile;

/// The evidence on each column, and whether it comes from other events, because no order has a value there.
pub(super) fn evidence<'a>(
    profile: &'a Profile,
    options: &InferOptions,
) -> Result<(Vec<Evidence<'a>>, Vec<bool>), InferError> {
    let mut columns = evidence_of(profile, options)?;
    let mut is_later = vec![false; columns.len()];
    let of_events = profile.events.iter().flat_map(|events| events.columns.iter().map(|c| (c, events.n_rows)));
    for (i, (column, n_rows)) in of_events.enumerate() {
        let evidence = Evidence::of(column, n_rows, options.max_rejected_share);
        if columns[i].n_present == 0 && evidence.n_present > 0 {
            columns[i] = evidence;
            is_later[i] = true;
        }
    }
    Ok((columns, is_later))
}

/// Refuses rows that are other events, none an order: a column is named for kinds, and holds nothing else.
pub(super) fn refuse_events_alone(columns: &[Evidence<'_>]) -> Result<(), InferError> {
    for column in columns.iter().filter(|column| names::says_kinds(column.name) == Some(SaysKinds::Clearly)) {
        let top = &column.profile.top;
        let is_event = |value: &str| EventKind::from_name(value).is_some_and(|kind| kind != EventKind::Order);
        if column.n_present > 0
            && top.len() as u64 == column.profile.n_distinct
            && top.iter().all(|(value, _)| is_event(value))
        {
            return Err(InferError::NoOrders { column: column.name.to_owned(), n_events: column.n_present });
        }
    }
    Ok(())
}

/// Whether some event is a label, so that the orders need none of their own.
pub(super) fn has_labels(profile: &Profile) -> bool {
    profile.events.iter().flat_map(|events| &events.kinds).any(|(kind, _)| kind.is_label())
}

/// The column that says the kind of each row.
pub(super) fn decide_kind(
    profile: &Profile,
    columns: &[Evidence<'_>],
    decisions: &mut [Option<Decision>],
    notes: &mut Vec<Note>,
) {
    let Some(events) = &profile.events else { return };
    let Some(i) = events.column.as_ref().and_then(|name| columns.iter().position(|c| c.name == name)) else { return };
    let kinds: Vec<String> = events.kinds.iter().map(|(kind, n)| format!("{} {kind}", count(*n))).collect();
    decisions[i] =
        Some(Decision::new(Role::Event, format!("name and values say kinds of events: {}", kinds.join(", "))));
    if events.n_unknown > 0 {
        notes.push(Note::UnknownKinds { column: columns[i].name.to_owned(), n_rows: events.n_unknown });
    }
}

/// The column in which chargebacks and reports say that they take a label back.
pub(super) fn label_of_events(
    columns: &[Evidence<'_>],
    is_later: &[bool],
    decisions: &[Option<Decision>],
) -> Option<(usize, String)> {
    let label = best(columns, |i| {
        let open = is_later[i] && decisions[i].as_ref().is_none_or(|d| d.role == Role::Ignored);
        let rank = names::label_rank(&columns[i].words);
        (open && rank == 2 && columns[i].reads_as_label()).then_some(())
    })?;
    Some((label, "name and values say label, of events that are labels".into()))
}

/// When the shop knew of each row.
pub(super) fn decide_known_at(
    columns: &[Evidence<'_>],
    times: &[Option<TimeReading>],
    decisions: &mut [Option<Decision>],
) {
    if !decisions.iter().flatten().any(|d| d.role == Role::Time) {
        return;
    }
    let known = best(columns, |i| {
        let open = decisions[i].is_none() && times[i].is_some() && names::says_known_at(&columns[i].words);
        open.then_some(columns[i].profile.n_distinct)
    });
    if let Some(i) = known {
        let reading = times[i].expect("only columns with a reading are ranked");
        let reason = "name and values say when the shop knew of it".to_owned();
        decisions[i] = Some(Decision::time(Role::KnownAt, reading, reason));
    }
}

/// The identifier of events: beside that of orders, or in a stream.
pub(super) fn decide_event_id(profile: &Profile, columns: &[Evidence<'_>], decisions: &mut [Option<Decision>]) {
    let is_stream = profile.events.is_some();
    let has_id = decisions.iter().flatten().any(|d| d.role == Role::Id);
    let found = best(columns, |i| {
        let open = decisions[i].as_ref().is_none_or(|d| is_stream && d.role == Role::Id);
        let says = open && (is_stream || has_id) && names::says_event_id(&columns[i].words);
        (says && columns[i].is_nearly_unique(0.95)).then_some(())
    });
    if let Some(i) = found {
        let reason = format!("name says event id; {}", columns[i].distinct_in_words());
        decisions[i] = Some(Decision::new(Role::EventId, reason));
    }
}

/// Countries, regions, postal codes and coordinates: for each such role the column whose name suits it best.
pub(super) fn decide_places(
    columns: &[Evidence<'_>],
    times: &[Option<TimeReading>],
    decisions: &mut [Option<Decision>],
) {
    const PLACES: [Role; 14] = [
        Role::CardCountry,
        Role::IpCountry,
        Role::BillingCountry,
        Role::BillingRegion,
        Role::BillingPostcode,
        Role::BillingLatitude,
        Role::BillingLongitude,
        Role::ShippingCountry,
        Role::ShippingRegion,
        Role::ShippingPostcode,
        Role::ShippingLatitude,
        Role::ShippingLongitude,
        Role::IpLatitude,
        Role::IpLongitude,
    ];
    for role in PLACES {
        let named = |i: usize| names::place(&columns[i].words).filter(|(of, ..)| *of == role);
        let found = best(columns, |i| {
            let open = decisions[i].is_none() && times[i].is_none() && can_be_place(&columns[i], role);
            named(i).filter(|_| open).map(|(_, rank, _)| rank)
        });
        let Some((i, (_, rank, word))) = found.and_then(|i| Some((i, named(i)?))) else { continue };
        let whose = if rank == 1 { ", and not whose: taken as the bill's" } else { "" };
        let reason = format!("name says {word}{whose}; {}", columns[i].distinct_in_words());
        decisions[i] = Some(Decision::new(role, reason));
    }
}

/// Marks a column that no order has a value in.
pub(super) fn set_later(decision: &mut Decision) {
    if !matches!(decision.role, Role::Event | Role::EventId | Role::KnownAt | Role::Ignored | Role::Text) {
        decision.available = Available::Later;
    }
    decision.reason.push_str("; only other events than orders have it");
}

/// Says where values are kinds of events and the name is none that would tell rows apart.
pub(super) fn note_unnamed_kinds(
    profile: &Profile,
    columns: &[Evidence<'_>],
    decisions: &[Decision],
    notes: &mut Vec<Note>,
) {
    if profile.events.as_ref().is_some_and(|events| events.column.is_some()) {
        return;
    }
    for (column, decision) in columns.iter().zip(decisions) {
        let top = &column.profile.top;
        let kinds = || top.iter().map(|(value, _)| EventKind::from_name(value));
        let all =
            !top.is_empty() && top.len() as u64 == column.profile.n_distinct && kinds().all(|kind| kind.is_some());
        if decision.role == Role::Category && all && top.len() > 1 && kinds().any(|kind| kind == Some(EventKind::Order))
        {
            notes.push(Note::KindsUnnamed { column: column.name.to_owned() });
        }
    }
}
