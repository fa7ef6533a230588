//! From a raw record to a validated event.

use super::Extractor;
use crate::event::{Event, NumberText, OrderError, Value, currency_code};
use crate::kind::EventKind;
use crate::language::resolve::PointSource;
use crate::own::{self, Tables};
use crate::parse::{self, CellError, TimeParser};
use crate::schema::{Available, Role};
use crate::table::MISSING_I64;
use crate::time::{Span, UnixMillis};

/// A caller's column names bound to the positions that an extractor reads; made once, used for every event.
#[derive(Clone, Debug)]
pub struct Binding {
    n_values: usize,
    /// Place among the caller's values, per column of the schema.
    at: Vec<Option<usize>>,
    /// Name of each column of the schema, for errors.
    names: Vec<String>,
    id: Option<usize>,
    event_id: Option<usize>,
    event: Option<usize>,
    time: Option<usize>,
    amount: Option<usize>,
    currency: Option<usize>,
    label: Option<usize>,
    amount_decimals: u8,
}

impl Extractor {
    /// Binds the names of the values that [`Self::read_event`] will be given, in their order. Names that the model does not
    /// read are allowed and ignored. Every column that an order's row needs must be named; columns that are known later,
    /// and those of event kinds, event identifiers and labels, only where the caller sends other events than orders.
    pub fn bind(&self, names: &[&str]) -> Result<Binding, OrderError> {
        let mut at = vec![None; self.schema.columns.len()];
        let (needed, optional) = self.read_columns();
        for (column, place) in at.iter_mut().enumerate() {
            if !needed[column] && !optional[column] {
                continue;
            }
            let name = &self.schema.columns[column].name;
            let mut places = names.iter().enumerate().filter(|(_, n)| *n == name).map(|(i, _)| i);
            *place = match (places.next(), places.next()) {
                (Some(at), None) => Some(at),
                (None, _) if !needed[column] => None,
                (None, _) => return Err(OrderError::ColumnNotBound { column: name.clone() }),
                (Some(_), Some(_)) => return Err(OrderError::ColumnTwice { column: name.clone() }),
            };
        }
        let role = |role: Role| self.schema.find(role).filter(|&column| at[column].is_some());
        Ok(Binding {
            n_values: names.len(),
            id: role(Role::Id),
            event_id: role(Role::EventId),
            event: role(Role::Event),
            time: role(Role::Time),
            amount: role(Role::Amount),
            currency: role(Role::Currency),
            label: role(Role::Label),
            amount_decimals: self.schema.amount_decimals,
            names: self.schema.columns.iter().map(|column| column.name.clone()).collect(),
            at,
        })
    }

    /// Per column of the schema, whether the row of an order needs it, and whether it is read where it is there.
    pub(crate) fn read_columns(&self) -> (Vec<bool>, Vec<bool>) {
        let n = self.schema.columns.len();
        let (mut needed, mut optional) = (vec![false; n], vec![false; n]);
        let mut need = |column: usize| {
            let later = self.schema.columns[column].available == Available::Later;
            if later { optional[column] = true } else { needed[column] = true }
        };
        self.own.iter().flat_map(|(_, own)| own.columns()).for_each(&mut need);
        self.sources.iter().map(|source| source.column).for_each(&mut need);
        self.values.iter().flat_map(super::HistoryValue::columns).for_each(&mut need);
        [Role::Id, Role::Time].into_iter().filter_map(|role| self.schema.find(role)).for_each(&mut need);
        if self.reads_amount {
            [Role::Amount, Role::Currency].into_iter().filter_map(|role| self.schema.find(role)).for_each(&mut need);
        }
        for role in [Role::EventId, Role::Event, Role::Label] {
            self.schema.find(role).into_iter().for_each(|column| optional[column] = true);
        }
        (needed, optional)
    }

    /// Reads a raw order into `event`, whose memory is used again: [`Self::read_event`], and an error for other kinds.
    pub fn read_order(
        &self,
        binding: &Binding,
        values: &[Value<'_>],
        arrival: UnixMillis,
        event: &mut Event,
    ) -> Result<(), OrderError> {
        self.read_event(binding, values, arrival, event)?;
        if event.kind == EventKind::Order { Ok(()) } else { Err(OrderError::NotAnOrder { found: event.kind }) }
    }

    /// Reads a raw event into `event`, whose memory is used again. It is an order where nothing says otherwise.
    ///
    /// `values` holds one value per bound name. `arrival` is when the shop received the event; it becomes `known_at`, and
    /// is moved up to the event's time where that is later (a clock that runs ahead by up to a day).
    ///
    /// # Errors
    /// [`OrderError`] names the column. An order needs a time and, where the schema has one, an identifier; other events a
    /// time. On error `event` holds no particular event.
    pub fn read_event(
        &self,
        binding: &Binding,
        values: &[Value<'_>],
        arrival: UnixMillis,
        event: &mut Event,
    ) -> Result<(), OrderError> {
        if values.len() != binding.n_values {
            return Err(OrderError::WrongLength { expected: binding.n_values, found: values.len() });
        }
        let cells = Cells { binding, values };
        let mut scratch = NumberText::default();
        event.kind = match binding.event.and_then(|column| Some((column, cells.text(column, &mut scratch)?))) {
            Some((column, text)) => EventKind::from_name(text)
                .ok_or_else(|| OrderError::UnknownKind { column: binding.names[column].clone() })?,
            None => EventKind::Order,
        };
        let is_order = event.kind == EventKind::Order;
        let order_id = |text: &str| self.key.order_id(text);
        event.id = binding.id.and_then(|column| cells.text(column, &mut scratch).map(order_id));
        if let (true, Some(column), None) = (is_order, binding.id, event.id) {
            return Err(OrderError::IdMissing { column: binding.names[column].clone() });
        }
        event.event_id = binding.event_id.and_then(|column| cells.text(column, &mut scratch).map(order_id));
        event.time = match (binding.time, &self.time_parser) {
            (Some(column), Some(parser)) => match cells.time(column, parser)? {
                MISSING_I64 => return Err(OrderError::TimeMissing { column: binding.names[column].clone() }),
                ms => UnixMillis(ms),
            },
            _ => arrival,
        };
        if event.time > arrival.plus(Span::DAY) {
            return Err(OrderError::InFuture { time: event.time, arrival });
        }
        event.known_at = arrival.max(event.time);
        event.fraud = event.kind.is_label();
        if let (true, Some(column)) = (event.fraud, binding.label) {
            event.fraud = cells.label(column)? != 0;
        }
        event.currency = 0;
        event.values.clear();
        event.values.resize(self.n_values(), MISSING_I64);
        if self.reads_amount {
            // An amount that is known only later is not the order's to remember.
            let known = |column: &usize| self.is_known(*column, event.kind);
            if let Some(column) = binding.amount.filter(known) {
                event.values[0] = cells.amount(column)?;
            }
            if let Some(column) = binding.currency.filter(known) {
                event.currency = cells.text(column, &mut scratch).map_or(0, currency_code);
            }
        }
        for (index, value) in self.values.iter().enumerate() {
            if value.columns().all(|column| self.is_known(column, event.kind)) {
                event.values[super::FIRST_VALUE + index] = value.of_event(&cells, &self.tables)?;
            }
        }
        event.keys.clear();
        for source in &self.sources {
            let text =
                if self.is_known(source.column, event.kind) { cells.text(source.column, &mut scratch) } else { None };
            event.keys.push(text.map_or(0, |text| source.key(&self.key, text)));
        }
        event.own.clear();
        if is_order {
            let local = self.clock.at(event.time);
            for (_, own) in &self.own {
                event.own.push(own.of_order(&cells, &self.schema, &self.tables, event.time, local)?);
            }
        }
        Ok(())
    }

    /// Whether an event of the kind has the column's value when it becomes known: an order lacks what is known later.
    pub(crate) fn is_known(&self, column: usize, kind: EventKind) -> bool {
        kind != EventKind::Order || self.schema.columns[column].available == Available::Order
    }
}

/// The values of one live event, by column of the schema.
pub(super) struct Cells<'a> {
    binding: &'a Binding,
    values: &'a [Value<'a>],
}

impl<'a> Cells<'a> {
    fn value(&self, column: usize) -> Value<'a> {
        self.binding.at[column].map_or(Value::Missing, |at| self.values[at])
    }

    fn refuse(&self, column: usize) -> impl Fn(CellError) -> OrderError + '_ {
        move |error| OrderError::Cell { column: self.binding.names[column].clone(), error }
    }

    pub(super) fn text<'b>(&self, column: usize, scratch: &'b mut NumberText) -> Option<&'b str>
    where
        'a: 'b,
    {
        self.value(column).text(scratch)
    }

    pub(super) fn number(&self, column: usize) -> Result<f64, OrderError> {
        match self.value(column) {
            Value::Missing => Ok(f64::NAN),
            Value::Text(text) => parse::number(text.trim()),
            Value::Number(x) if x.is_nan() || x.abs() <= f64::from(f32::MAX) => Ok(x),
            Value::Number(_) => Err(CellError::NumberOutOfRange),
        }
        .map_err(self.refuse(column))
    }

    /// Minor units.
    pub(super) fn amount(&self, column: usize) -> Result<i64, OrderError> {
        let mut scratch = NumberText::default();
        let decimals = self.binding.amount_decimals;
        self.text(column, &mut scratch)
            .map_or(Ok(MISSING_I64), |text| parse::amount(text, decimals))
            .map_err(self.refuse(column))
    }

    /// Epoch milliseconds.
    pub(super) fn time(&self, column: usize, parser: &TimeParser) -> Result<i64, OrderError> {
        let mut scratch = NumberText::default();
        self.text(column, &mut scratch).map_or(Ok(MISSING_I64), |text| parser.parse(text)).map_err(self.refuse(column))
    }

    /// 1 fraud, 0 honest, -1 when missing.
    fn label(&self, column: usize) -> Result<i8, OrderError> {
        let mut scratch = NumberText::default();
        self.text(column, &mut scratch).map_or(Ok(-1), parse::label).map_err(self.refuse(column))
    }

    /// Degrees north and east.
    pub(super) fn point(&self, point: &PointSource, tables: &Tables) -> Result<Option<(f64, f64)>, OrderError> {
        let mut scratch = NumberText::default();
        Ok(match *point {
            PointSource::Columns { latitude, longitude } => {
                super::point_of(self.number(latitude)?, self.number(longitude)?)
            }
            PointSource::Ip { column } => self.text(column, &mut scratch).and_then(|text| own::point(text, tables)),
        })
    }
}
