//! Reads the text of a feature from left to right; an error points at the first character that does not fit.

use super::error::{FeatureError, nearest};
use super::feature::{
    Aggregate, Comparison, Condition, EntityPart, Feature, History, NetworkFeature, Place, Point, TextFunction, Value,
    ValueOf, Window,
};
use super::text::{DERIVED_ENTITIES, KEYWORDS, is_plain};
use crate::kind::EventKind;
use crate::time::Span;

/// The shortest window, delay and half-life.
pub const SHORTEST_WINDOW: Span = Span::MINUTE;
/// The longest window, delay and half-life; for longer memory a window is left out, which means lifetime.
pub const LONGEST_WINDOW: Span = Span::days(90);
/// The most parts of one entity.
pub const MAX_PARTS: usize = 3;
/// The largest `shrink`.
pub const MAX_SHRINK: u32 = 1_000_000;
/// The largest constant of a condition, in thousandths, either way.
pub const MAX_THOUSANDTHS: i64 = 1_000_000_000_000_000;

impl Feature {
    /// Reads the text of a feature.
    ///
    /// ```
    /// use orderguard_features::language::feature::Feature;
    /// let feature = Feature::parse("count(order) by card over 24h").unwrap();
    /// assert_eq!(feature.to_string(), "count(order) by card over 1d");
    ///
    /// let error = Feature::parse("count(ordr) by card over 1d").unwrap_err();
    /// assert_eq!((error.at, error.suggestion.as_deref()), (6, Some("order")));
    /// ```
    pub fn parse(text: &str) -> Result<Self, FeatureError> {
        let mut p = Parser { text, at: 0 };
        let feature = p.feature()?;
        p.end()?;
        Ok(feature)
    }
}

impl Place {
    /// Reads the text of a place, such as `billing.country`.
    pub fn parse(text: &str) -> Result<Self, FeatureError> {
        let mut p = Parser { text, at: 0 };
        let place = p.place()?;
        p.end()?;
        Ok(place)
    }
}

/// Every word that a feature may begin with.
const HEADS: &str = "amount number category hour weekday night weekend since valid length digit_share entropy longest_run \
     free disposable private v6 bot mobile similarity mismatch km cluster_size cluster_frauds cluster_new_links \
     accounts_per count sum mean deviation min max zscore ratio distinct share rate decayed_count decayed_sum \
     since_first since_last is_new gap_variation speed fraud_count fraud_rate \
     orders_since_fraud";

const A_COLUMN: &str = "a column";
const AN_ENTITY: &str = "an entity: a column, `shop`, `ip24`, `email_domain` or `bin`";
const A_VALUE: &str = "a value: `amount`, `age` or a number column";
const A_CONSTANT: &str = "a number with at most 3 decimals, or a level in double quotes";

/// The clauses that may follow `by ENTITY`.
fn clauses(aggregate: &Aggregate) -> &'static [&'static str] {
    match aggregate {
        Aggregate::Count(_)
        | Aggregate::Sum(_)
        | Aggregate::Mean(_)
        | Aggregate::Deviation(_)
        | Aggregate::Min(_)
        | Aggregate::Max(_)
        | Aggregate::Distinct(..) => &["over", "/", "delayed", "where"],
        Aggregate::Share(_) | Aggregate::ZScore(_) | Aggregate::Ratio(_) | Aggregate::GapVariation(_) => {
            &["over", "delayed", "where"]
        }
        Aggregate::Rate { .. } => &["over", "delayed", "shrink", "to", "where"],
        Aggregate::DecayedCount(_) | Aggregate::DecayedSum(_) => &["halflife", "where"],
        Aggregate::SinceFirst(_) | Aggregate::SinceLast(_) => &["where"],
        Aggregate::IsNew | Aggregate::Speed(_) => &[],
        Aggregate::FraudCount | Aggregate::OrdersSinceFraud => &["over", "delayed"],
        Aggregate::FraudRate { .. } => &["over", "delayed", "shrink"],
    }
}

/// A name as it was written.
struct Word {
    at: usize,
    text: String,
    quoted: bool,
}

/// Reads one feature text from left to right.
struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn error_at(&self, at: usize, expected: impl Into<String>) -> FeatureError {
        FeatureError { text: self.text.to_owned(), at, expected: expected.into(), suggestion: None }
    }

    fn error(&self, expected: impl Into<String>) -> FeatureError {
        self.error_at(self.at, expected)
    }

    /// An error at a word that is none of the known ones.
    fn unknown<'b>(
        &self,
        at: usize,
        word: &str,
        expected: impl Into<String>,
        known: impl IntoIterator<Item = &'b str>,
    ) -> FeatureError {
        let suggestion = nearest(word, known).map(str::to_owned);
        FeatureError { suggestion, ..self.error_at(at, expected) }
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    /// The bare word that comes next, empty where there is none; stays in front of it.
    fn peek(&mut self) -> &'a str {
        self.skip_space();
        let rest = &self.text[self.at..];
        &rest[..rest.bytes().take_while(|b| is_plain(*b)).count()]
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.peek() == word;
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn eat_sign(&mut self, sign: &str) -> bool {
        self.skip_space();
        let found = self.text[self.at..].starts_with(sign);
        self.at += if found { sign.len() } else { 0 };
        found
    }

    fn sign(&mut self, sign: &str, expected: &str) -> Result<(), FeatureError> {
        if self.eat_sign(sign) { Ok(()) } else { Err(self.error(expected)) }
    }

    fn end(&mut self) -> Result<(), FeatureError> {
        self.skip_space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.error("the end of the feature")) }
    }

    /// A name, bare or in quotes.
    fn word(&mut self, expected: &str) -> Result<Word, FeatureError> {
        let bare = self.peek();
        let at = self.at;
        if self.text[at..].starts_with('"') {
            return self.quoted();
        }
        if bare.is_empty() || KEYWORDS.contains(&bare) {
            return Err(self.error(expected));
        }
        self.at += bare.len();
        Ok(Word { at, text: bare.to_owned(), quoted: false })
    }

    /// The text in quotes that begins here.
    fn quoted(&mut self) -> Result<Word, FeatureError> {
        let at = self.at;
        let mut text = String::new();
        let mut chars = self.text[at + 1..].char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    self.at = at + 1 + i + 1;
                    return Ok(Word { at, text, quoted: true });
                }
                '\\' => match chars.next() {
                    Some((_, c)) => text.push(c),
                    None => break,
                },
                c => text.push(c),
            }
        }
        Err(self.error_at(self.text.len(), "a closing quote"))
    }

    fn feature(&mut self) -> Result<Feature, FeatureError> {
        let head = self.peek();
        let at = self.at;
        self.at += head.len();
        if let Some(function) = TextFunction::ALL.into_iter().find(|function| function.name() == head) {
            return Ok(Feature::Text { function, column: self.column_argument()? });
        }
        Ok(match head {
            "amount" => Feature::Amount,
            "hour" => Feature::Hour,
            "weekday" => Feature::Weekday,
            "night" => Feature::Night,
            "weekend" => Feature::Weekend,
            "number" => Feature::Number(self.column_argument()?),
            "since" => Feature::Since(self.column_argument()?),
            "category" => {
                self.sign("(", "`(`")?;
                let place = self.place()?;
                self.sign(")", "`)`")?;
                Feature::Category(place)
            }
            "similarity" => {
                let (a, b) = self.pair(|p| Ok(p.word(A_COLUMN)?.text))?;
                Feature::Similarity(a, b)
            }
            "mismatch" => {
                let (a, b) = self.pair(Self::place)?;
                Feature::Mismatch(a, b)
            }
            "km" => {
                let (a, b) = self.pair(Self::point)?;
                Feature::Km(a, b)
            }
            "cluster_size" => Feature::Network(NetworkFeature::ClusterSize),
            "cluster_frauds" => Feature::Network(NetworkFeature::ClusterFrauds),
            "cluster_new_links" => Feature::Network(NetworkFeature::ClusterNewLinks),
            "accounts_per" => Feature::Network(NetworkFeature::AccountsPer(self.column_argument()?)),
            "" => {
                self.at = at;
                return Err(self.error("a feature such as `count(order) by customer over 7d`"));
            }
            _ if HEADS.split(' ').any(|known| known == head) => {
                let aggregate = self.aggregate(head)?;
                Feature::History(self.history(aggregate)?)
            }
            _ => {
                let expected = "a feature such as `amount`, `count(order) by customer over 7d` or `entropy(email)`";
                return Err(self.unknown(at, head, expected, HEADS.split(' ')));
            }
        })
    }

    fn column_argument(&mut self) -> Result<String, FeatureError> {
        self.sign("(", "`(` and a column")?;
        let column = self.word(A_COLUMN)?;
        self.sign(")", "`)`")?;
        Ok(column.text)
    }

    fn pair<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T, FeatureError>) -> Result<(T, T), FeatureError> {
        self.sign("(", "`(`")?;
        let first = item(self)?;
        self.sign(",", "`,`")?;
        let second = item(self)?;
        self.sign(")", "`)`")?;
        Ok((first, second))
    }

    fn place(&mut self) -> Result<Place, FeatureError> {
        let word = self.word("a column, or a place such as `ip.country`")?;
        let derived = Place::DERIVED.into_iter().find(|place| place.derived_name() == Some(word.text.as_str()));
        Ok(derived.filter(|_| !word.quoted).unwrap_or(Place::Column(word.text)))
    }

    fn point(&mut self) -> Result<Point, FeatureError> {
        let expected = "`ip`, `billing` or `shipping`";
        let word = self.word(expected)?;
        let known = Point::ALL.map(Point::name);
        let point = Point::ALL.into_iter().find(|point| point.name() == word.text);
        point.ok_or_else(|| self.unknown(word.at, &word.text, expected, known))
    }

    fn kind(&mut self) -> Result<EventKind, FeatureError> {
        let expected = "a kind of event, such as `order` or `return`";
        let word = self.word(expected)?;
        let known = EventKind::ALL.map(EventKind::name);
        EventKind::from_name(&word.text).ok_or_else(|| self.unknown(word.at, &word.text, expected, known))
    }

    fn of_kind(&mut self) -> Result<EventKind, FeatureError> {
        if self.eat_word("of") { self.kind() } else { Ok(EventKind::Order) }
    }

    fn value_of(word: Word) -> ValueOf {
        match word.text.as_str() {
            "amount" if !word.quoted => ValueOf::Amount,
            "age" if !word.quoted => ValueOf::Age,
            _ => ValueOf::Number(word.text),
        }
    }

    fn value(&mut self) -> Result<Value, FeatureError> {
        let word = self.word(A_VALUE)?;
        let what = Self::value_of(word);
        self.skip_space();
        let at = self.at;
        let value = Value { what, kind: self.of_kind()? };
        if value.what == ValueOf::Age && value.kind == EventKind::Order {
            return Err(self.error_at(at, "`of` and a kind of event that is about an order, such as `return`"));
        }
        Ok(value)
    }

    /// A value that orders have.
    fn order_value(&mut self) -> Result<Value, FeatureError> {
        let expected = "a value of orders: `amount` or a number column";
        self.skip_space();
        let at = self.at;
        match Self::value_of(self.word(expected)?) {
            ValueOf::Age => Err(self.error_at(at, expected)),
            what => Ok(Value { what, kind: EventKind::Order }),
        }
    }

    /// The aggregate that a known word names, with its argument.
    fn aggregate(&mut self, head: &str) -> Result<Aggregate, FeatureError> {
        match head {
            "is_new" => return Ok(Aggregate::IsNew),
            "fraud_count" => return Ok(Aggregate::FraudCount),
            "orders_since_fraud" => return Ok(Aggregate::OrdersSinceFraud),
            "fraud_rate" => return Ok(Aggregate::FraudRate { shrink: 0 }),
            _ => {}
        }
        self.sign("(", "`(`")?;
        let aggregate = match head {
            "count" => Aggregate::Count(self.kind()?),
            "sum" => Aggregate::Sum(self.value()?),
            "mean" => Aggregate::Mean(self.value()?),
            "deviation" => Aggregate::Deviation(self.value()?),
            "min" => Aggregate::Min(self.value()?),
            "max" => Aggregate::Max(self.value()?),
            "zscore" => Aggregate::ZScore(self.order_value()?),
            "ratio" => Aggregate::Ratio(self.order_value()?),
            "distinct" => {
                let part = self.column_part()?;
                Aggregate::Distinct(part, self.of_kind()?)
            }
            "share" => Aggregate::Share(self.kind()?),
            "rate" => {
                let of = self.kind()?;
                if !self.eat_word("per") {
                    return Err(self.error("`per` and a kind of event"));
                }
                Aggregate::Rate { of, per: self.kind()?, shrink: 0, norm: Vec::new() }
            }
            "decayed_count" => Aggregate::DecayedCount(self.kind()?),
            "decayed_sum" => Aggregate::DecayedSum(self.value()?),
            "since_first" => Aggregate::SinceFirst(self.kind()?),
            "since_last" => Aggregate::SinceLast(self.kind()?),
            "gap_variation" => Aggregate::GapVariation(self.kind()?),
            _ => Aggregate::Speed(self.point()?),
        };
        self.sign(")", "`)`")?;
        Ok(aggregate)
    }

    fn history(&mut self, mut aggregate: Aggregate) -> Result<History, FeatureError> {
        if !self.eat_word("by") {
            return Err(self.error("`by` and an entity"));
        }
        let entity = self.entity()?;
        let mut window = Window::default();
        let mut conditions = Vec::new();
        let mut left = clauses(&aggregate).to_vec();
        let mut latest = "by";
        loop {
            self.skip_space();
            if self.at == self.text.len() {
                break;
            }
            // `/` stands directly behind the first window, so it is read there.
            let next = left.iter().position(|clause| *clause != "/" && self.eat_word(clause));
            let Some(next) = next else {
                return Err(self.no_clause(&left, latest == "over"));
            };
            latest = left.remove(next);
            match latest {
                "over" => {
                    window.over = Some(self.span()?);
                    if left.contains(&"/") && self.eat_sign("/") {
                        window.versus = Some(self.versus(window.over)?);
                        left.retain(|clause| *clause != "/");
                    }
                }
                "delayed" => window.delayed = self.span()?,
                "halflife" => window.half_life = Some(self.span()?),
                "shrink" => {
                    let weight = self.weight()?;
                    if let Aggregate::Rate { shrink, .. } | Aggregate::FraudRate { shrink } = &mut aggregate {
                        *shrink = weight;
                    }
                }
                "to" => {
                    let parts = self.entity()?;
                    if let Aggregate::Rate { norm, .. } = &mut aggregate {
                        *norm = parts;
                    }
                }
                _ => conditions = self.conditions(aggregate.kind().unwrap_or_default())?,
            }
        }
        if left.contains(&"halflife") {
            return Err(self.error("`halflife` and a length of time such as 7d"));
        }
        if matches!(aggregate, Aggregate::Share(_)) && conditions.is_empty() {
            return Err(self.error("`where` and a condition: the share that fulfils it is computed"));
        }
        Ok(History { aggregate, entity, window, conditions })
    }

    /// An error where none of the clauses that are left begins.
    fn no_clause(&mut self, left: &[&str], may_divide: bool) -> FeatureError {
        let mut words: Vec<String> = left.iter().map(|clause| format!("`{clause}`")).collect();
        words.retain(|word| may_divide || word != "`/`");
        let expected =
            if words.is_empty() { "the end of the feature".into() } else { format!("{} or the end", words.join(", ")) };
        let word = self.peek();
        self.unknown(self.at, word, expected, left.iter().copied().filter(|clause| *clause != "/"))
    }

    /// One to three different parts; `shop` stands alone.
    fn entity(&mut self) -> Result<Vec<EntityPart>, FeatureError> {
        let mut parts = vec![self.part()?];
        while self.eat_sign("+") {
            self.skip_space();
            let at = self.at;
            if parts.len() == MAX_PARTS {
                return Err(self.error(format!("at most {MAX_PARTS} parts of an entity")));
            }
            let part = self.part()?;
            if parts.contains(&part) {
                return Err(self.error_at(at, "another part than before"));
            }
            if part == EntityPart::Shop || parts.contains(&EntityPart::Shop) {
                return Err(
                    self.error_at(at, "a part that may stand beside others; `shop` is one entity for all events")
                );
            }
            parts.push(part);
        }
        Ok(parts)
    }

    fn part(&mut self) -> Result<EntityPart, FeatureError> {
        let word = self.word(AN_ENTITY)?;
        if word.quoted {
            return Ok(EntityPart::Column(word.text));
        }
        if word.text == "shop" {
            return Ok(EntityPart::Shop);
        }
        let derived = DERIVED_ENTITIES.contains(&word.text.as_str());
        if !derived {
            self.skip_space();
            if self.text[self.at..].starts_with('(') {
                return Err(self.unknown(
                    word.at,
                    &word.text,
                    "`ip24(..)`, `email_domain(..)` or `bin(..)`",
                    DERIVED_ENTITIES,
                ));
            }
            return Ok(EntityPart::Column(word.text));
        }
        let column = if self.eat_sign("(") {
            let column = self.word(A_COLUMN)?;
            self.sign(")", "`)`")?;
            Some(column.text)
        } else {
            None
        };
        Ok(match word.text.as_str() {
            "ip24" => EntityPart::IpNetwork(column),
            "email_domain" => EntityPart::EmailDomain(column),
            _ => EntityPart::Bin(column),
        })
    }

    /// A part whose values can be told apart.
    fn column_part(&mut self) -> Result<EntityPart, FeatureError> {
        self.skip_space();
        let at = self.at;
        match self.part()? {
            EntityPart::Shop => Err(self.error_at(at, "a column, `ip24`, `email_domain` or `bin`")),
            part => Ok(part),
        }
    }

    fn span(&mut self) -> Result<Span, FeatureError> {
        let word = self.peek();
        match Span::parse(word) {
            Ok(span) if (SHORTEST_WINDOW..=LONGEST_WINDOW).contains(&span) => {
                self.at += word.len();
                Ok(span)
            }
            _ => Err(self.error(format!("a length of time from {SHORTEST_WINDOW} to {LONGEST_WINDOW}, such as 7d"))),
        }
    }

    /// The window below the line.
    fn versus(&mut self, over: Option<Span>) -> Result<Span, FeatureError> {
        self.skip_space();
        let at = self.at;
        let span = self.span()?;
        if Some(span) == over { Err(self.error_at(at, "another window than the first")) } else { Ok(span) }
    }

    fn weight(&mut self) -> Result<u32, FeatureError> {
        let word = self.peek();
        match word.parse() {
            Ok(weight) if (1..=MAX_SHRINK).contains(&weight) => {
                self.at += word.len();
                Ok(weight)
            }
            _ => Err(self.error(format!("a whole number from 1 to {MAX_SHRINK}"))),
        }
    }

    fn conditions(&mut self, kind: EventKind) -> Result<Vec<Condition>, FeatureError> {
        let mut conditions = vec![self.condition(kind)?];
        while self.eat_word("and") {
            conditions.push(self.condition(kind)?);
        }
        Ok(conditions)
    }

    fn condition(&mut self, kind: EventKind) -> Result<Condition, FeatureError> {
        let left = self.word("a value or column to compare, such as `amount`")?;
        let left_at = left.at;
        self.skip_space();
        let sign_at = self.at;
        // Longer signs first.
        let signs = [
            (Comparison::AtMost, "<="),
            (Comparison::AtLeast, ">="),
            (Comparison::Different, "!="),
            (Comparison::Equal, "=="),
            (Comparison::Less, "<"),
            (Comparison::Greater, ">"),
            (Comparison::Equal, "="),
        ];
        let Some((op, _)) = signs.into_iter().find(|(_, sign)| self.eat_sign(sign)) else {
            return Err(self.error("`<`, `<=`, `>`, `>=`, `=` or `!=`"));
        };
        let word = self.peek();
        let is_level = word.is_empty() || word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let own = !left.quoted && matches!(left.text.as_str(), "amount" | "age");
        if is_level && !own {
            let level = self.word(A_CONSTANT)?;
            let equal = match op {
                Comparison::Equal => true,
                Comparison::Different => false,
                _ => return Err(self.error_at(sign_at, "`=` or `!=` before a level")),
            };
            return Ok(Condition::Level { column: left.text, equal, level: level.text });
        }
        let value = Self::value_of(left);
        if value == ValueOf::Age && kind == EventKind::Order {
            return Err(self.error_at(left_at, "a value that orders have; `age` is that of other events"));
        }
        let thousandths = match value {
            ValueOf::Age => Span::parse(word).map(|span| span.0).ok().or_else(|| thousandths(word)),
            _ => thousandths(word),
        };
        let Some(thousandths) = thousandths else {
            return Err(self.error(match value {
                ValueOf::Age => "a length of time such as 14d",
                ValueOf::Amount => "a number with at most 3 decimals, at most 1e12",
                ValueOf::Number(_) => A_CONSTANT,
            }));
        };
        self.at += word.len();
        Ok(Condition::Compare { value, op, thousandths })
    }
}

/// Reads `-12.345` exactly.
fn thousandths(word: &str) -> Option<i64> {
    let (negative, digits) = word.strip_prefix('-').map_or((false, word), |digits| (true, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(part) || part.len() > 3 {
        return None;
    }
    let part: i64 = format!("{part:0<3}").parse().ok()?;
    let value = whole.parse::<i64>().ok()?.checked_mul(1_000)?.checked_add(part)?;
    (value <= MAX_THOUSANDTHS).then_some(if negative { -value } else { value })
}
