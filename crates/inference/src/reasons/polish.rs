//! The patterns that are proposed in Polish.

use orderguard_features::kind::EventKind;
use orderguard_features::language::feature::{
    Aggregate, Condition, EntityPart, Feature, History, NetworkFeature, Place, Point, TextFunction, Value, ValueOf,
    Window,
};
use orderguard_features::language::resolve;
use orderguard_features::schema::{Role, Schema};
use orderguard_features::time::Span;

use super::Pattern;
use super::english::{escaped, parts};

/// The words for a feature.
pub(super) fn pattern(schema: &Schema, feature: &Feature) -> Pattern {
    let words = Words { schema };
    let Said { text, no, first_seen, topic } = words.feature(feature);
    Pattern { text, no, first_seen, missing: format!("brak danych: {topic}") }
}

/// What is said of a feature, and what it is about: in the nominative, for missing values.
struct Said {
    text: String,
    no: String,
    first_seen: String,
    topic: String,
}

impl Said {
    /// A topic with its value behind it.
    fn value(topic: String) -> Self {
        Self::of(format!("{topic}: {{value}}, zwykle {{usual}}"), topic)
    }

    fn of(text: String, topic: String) -> Self {
        Self { text, no: String::new(), first_seen: String::new(), topic }
    }

    fn flag(yes: String, no: String, topic: String) -> Self {
        Self { no, ..Self::of(yes, topic) }
    }
}

impl Words<'_> {
    fn feature(&self, feature: &Feature) -> Said {
        let time = || "czas zamówienia".to_owned();
        match feature {
            Feature::Amount => Said::value("kwota zamówienia".into()),
            Feature::Number(name) => Said::value(self.noun(name)),
            Feature::Category(place) => {
                Said::of(format!("{}: {{value}}, jak w {{share}} zamówień", self.place(place)), self.place(place))
            }
            Feature::Hour => Said::value("godzina zamówienia".into()),
            Feature::Weekday => Said::of("dzień zamówienia: {value}".into(), "dzień zamówienia".into()),
            Feature::Night => {
                Said::flag("zamówienie złożono w nocy".into(), "zamówienia nie złożono w nocy".into(), time())
            }
            Feature::Weekend => {
                Said::flag("zamówienie złożono w weekend".into(), "zamówienie złożono w dzień roboczy".into(), time())
            }
            Feature::Since(name) => {
                Said::of(format!("{}: {{value}} przed zamówieniem, zwykle {{usual}}", self.noun(name)), self.noun(name))
            }
            Feature::Text { function, column } => {
                let noun = self.noun(column);
                match text_function(*function) {
                    (yes, Some(no)) => Said::flag(format!("{noun}: {yes}"), format!("{noun}: {no}"), noun),
                    (text, None) => Said::of(format!("{noun}: {text}, zwykle {{usual}}"), noun),
                }
            }
            Feature::Similarity(a, b) => Said::value(format!("podobieństwo ({} i {})", self.noun(a), self.noun(b))),
            Feature::Mismatch(a, b) => {
                let pair = format!("{} i {}", self.place(a), self.place(b));
                Said::flag(format!("różne: {pair}"), format!("zgodne: {pair}"), format!("zgodność ({pair})"))
            }
            Feature::Km(a, b) => Said::value(format!("odległość ({} – {})", point(*a), point(*b))),
            Feature::History(history) => {
                let first_seen = self.first_seen(&history.entity);
                if history.aggregate == Aggregate::IsNew {
                    let topic = format!("czy widzieliśmy już {}", self.seen(&history.entity));
                    return Said::flag(first_seen, self.seen_before(&history.entity), topic);
                }
                Said { first_seen, ..self.history(history) }
            }
            Feature::Network(network) => {
                let said = match network {
                    NetworkFeature::ClusterSize => Said::of(
                        "{value:konto/konta/kont} w grupie połączonej wspólnymi danymi, zwykle {usual}".into(),
                        "liczba kont w grupie połączonej wspólnymi danymi".into(),
                    ),
                    NetworkFeature::ClusterFrauds => Said::of(
                        "{value:znane oszustwo/znane oszustwa/znanych oszustw} na powiązanych kontach, zwykle {usual}"
                            .into(),
                        "liczba znanych oszustw na powiązanych kontach".into(),
                    ),
                    NetworkFeature::ClusterNewLinks => {
                        Said::value("dane nowe dla tego konta, a znane z innych kont".into())
                    }
                    NetworkFeature::AccountsPer(name) => {
                        let noun = self.noun(name);
                        let text = format!("{noun}: dotąd na {{value:koncie/kontach/kontach}}, zwykle {{usual}}");
                        Said::of(text, format!("liczba kont ({noun})"))
                    }
                };
                Said { first_seen: "to konto widzimy po raz pierwszy".into(), ..said }
            }
        }
    }
}

/// What a text is, and is not; or what is measured of it.
fn text_function(function: TextFunction) -> (&'static str, Option<&'static str>) {
    match function {
        TextFunction::Valid => ("zapis poprawny", Some("zapis niepoprawny")),
        TextFunction::Free => ("darmowy dostawca poczty", Some("inny niż darmowy dostawca poczty")),
        TextFunction::Disposable => ("jednorazowa skrzynka pocztowa", Some("zwykła skrzynka pocztowa")),
        TextFunction::Private => ("sieć prywatna", Some("sieć publiczna")),
        TextFunction::V6 => ("wersja 6", Some("wersja 4")),
        TextFunction::Bot => ("narzędzie automatyczne", Some("nie jest narzędziem automatycznym")),
        TextFunction::Mobile => ("telefon lub tablet", Some("inne urządzenie niż telefon lub tablet")),
        TextFunction::Length => ("długość {value:znak/znaki/znaków}", None),
        TextFunction::DigitShare => ("udział cyfr {value}", None),
        TextFunction::Entropy => ("losowość w bitach na znak {value}", None),
        TextFunction::LongestRun => ("najdłuższy ciąg jednego rodzaju {value:znak/znaki/znaków}", None),
    }
}

struct Words<'a> {
    schema: &'a Schema,
}

impl Words<'_> {
    fn role(&self, name: &str) -> Option<(Role, bool)> {
        let role = self.schema.columns[resolve::column(self.schema, name).ok()?].role;
        Some((role, self.schema.columns.iter().filter(|other| other.role == role).count() == 1))
    }

    fn quoted(name: &str) -> String {
        format!("„{}”", escaped(name))
    }

    /// Nominative.
    fn noun(&self, name: &str) -> String {
        let noun = match self.role(name) {
            Some((Role::Amount, _)) => "kwota",
            Some((Role::Customer, true)) => "klient",
            Some((Role::Card, true)) => "karta",
            Some((Role::Device, true)) => "urządzenie",
            Some((Role::Ip, true)) => "adres IP",
            Some((Role::Email, true)) => "adres e-mail",
            Some((Role::Phone, true)) => "numer telefonu",
            Some((Role::BillingAddress, true)) => "adres rozliczeniowy",
            Some((Role::ShippingAddress, true)) => "adres dostawy",
            Some((Role::Merchant, true)) => "sprzedawca",
            Some((Role::Bin, true)) => "wydawca karty",
            Some((Role::Coupon, true)) => "kupon",
            Some((Role::Basket, true)) => "koszyk",
            Some((Role::Name, true)) => "imię i nazwisko",
            Some((Role::UserAgent, true)) => "przeglądarka",
            Some((Role::BillingCountry, true)) => "kraj rozliczeniowy",
            Some((Role::BillingRegion, true)) => "region rozliczeniowy",
            Some((Role::BillingPostcode, true)) => "rozliczeniowy kod pocztowy",
            Some((Role::ShippingCountry, true)) => "kraj dostawy",
            Some((Role::ShippingRegion, true)) => "region dostawy",
            Some((Role::ShippingPostcode, true)) => "kod pocztowy dostawy",
            Some((Role::CardCountry, true)) => "kraj wydawcy karty",
            Some((Role::IpCountry, true)) => "kraj adresu IP",
            _ => return Self::quoted(name),
        };
        noun.into()
    }

    fn place(&self, place: &Place) -> String {
        match place {
            Place::Column(name) => self.noun(name),
            Place::IpCountry => "kraj adresu IP".into(),
            Place::BinCountry => "kraj wydawcy karty".into(),
            Place::PhoneCountry => "kraj numeru telefonu".into(),
            Place::EmailDomain => "domena e-mail".into(),
            Place::AgentFamily => "przeglądarka".into(),
            Place::AgentSystem => "system operacyjny".into(),
            Place::BinKind => "rodzaj karty".into(),
        }
    }

    /// What came from it, and whom we see: `z tego urządzenia`, `to urządzenie`.
    fn part(&self, part: &EntityPart) -> (String, String) {
        let (of, seen) = match part {
            EntityPart::Shop => ("w całym sklepie", "sklep"),
            EntityPart::IpNetwork(_) => ("z tej sieci IP", "tę sieć IP"),
            EntityPart::EmailDomain(_) => ("z tą domeną e-mail", "tę domenę e-mail"),
            EntityPart::Bin(_) => ("kartami tego wydawcy", "tego wydawcę kart"),
            EntityPart::Column(name) => match self.role(name) {
                Some((Role::Customer, true)) => ("tego klienta", "tego klienta"),
                Some((Role::Card, true)) => ("tą kartą", "tę kartę"),
                Some((Role::Device, true)) => ("z tego urządzenia", "to urządzenie"),
                Some((Role::Ip, true)) => ("z tego adresu IP", "ten adres IP"),
                Some((Role::Email, true)) => ("z tym adresem e-mail", "ten adres e-mail"),
                Some((Role::Phone, true)) => ("z tym numerem telefonu", "ten numer telefonu"),
                Some((Role::BillingAddress, true)) => ("z tym adresem rozliczeniowym", "ten adres rozliczeniowy"),
                Some((Role::ShippingAddress, true)) => ("na ten adres dostawy", "ten adres dostawy"),
                Some((Role::Merchant, true)) => ("u tego sprzedawcy", "tego sprzedawcę"),
                Some((Role::Bin, true)) => ("kartami tego wydawcy", "tego wydawcę kart"),
                Some((Role::Coupon, true)) => ("z tym kuponem", "ten kupon"),
                Some((Role::Basket, true)) => ("z takim koszykiem", "taki koszyk"),
                _ => {
                    let name = Self::quoted(name);
                    return (format!("z tą wartością {name}"), format!("tę wartość {name}"));
                }
            },
        };
        (of.into(), seen.into())
    }

    fn of(&self, entity: &[EntityPart]) -> String {
        entity.iter().map(|part| self.part(part).0).collect::<Vec<_>>().join(" i ")
    }

    fn seen(&self, entity: &[EntityPart]) -> String {
        let all = entity.iter().map(|part| self.part(part).1).collect::<Vec<_>>().join(" i ");
        if entity.len() > 1 { format!("razem {all}") } else { all }
    }

    fn first_seen(&self, entity: &[EntityPart]) -> String {
        format!("pierwszy raz widzimy {}", self.seen(entity))
    }

    fn seen_before(&self, entity: &[EntityPart]) -> String {
        format!("widzieliśmy już {}", self.seen(entity))
    }

    /// Genitive.
    fn value(value: &Value) -> String {
        match &value.what {
            ValueOf::Amount => "kwoty".into(),
            ValueOf::Age => "czasu od zamówienia".into(),
            ValueOf::Number(name) => Self::quoted(name),
        }
    }

    fn history(&self, history: &History) -> Said {
        let of = self.of(&history.entity);
        let when = window(&history.window);
        let only = self.conditions(history);
        let those = |kind: EventKind| format!("{}{only} {of} {when}", kinds(kind).2);
        if let Some(versus) = history.window.versus {
            let longer = window(&Window { over: Some(versus), ..history.window });
            let part = |what: String| {
                let falls = falls_on(&history.window);
                Said::of(
                    format!("{{value}} {what} {longer} przypada {falls}, zwykle {{usual}}"),
                    format!("jaka część {what} {longer} przypada {falls}"),
                )
            };
            return match &history.aggregate {
                Aggregate::Count(kind) => part(format!("{}{only} {of}", kinds(*kind).2)),
                Aggregate::Sum(value) => part(format!("{} {}{only} {of}", Self::value(value), kinds(value.kind).2)),
                Aggregate::Mean(value) | Aggregate::Deviation(value) => {
                    let what = if matches!(history.aggregate, Aggregate::Mean(_)) { "średniej" } else { "rozrzutu" };
                    let (many, of_it) = (kinds(value.kind).2, Self::value(value));
                    Said::value(format!("stosunek {what} {of_it} {many}{only} {of} {when} do wartości {longer}"))
                }
                _ => {
                    let short = Window { versus: None, ..history.window };
                    let short = self.history(&History { window: short, ..history.clone() });
                    Said::value(format!("stosunek do wartości {longer} ({})", short.topic))
                }
            };
        }
        match &history.aggregate {
            Aggregate::Count(kind) => {
                let (one, few, many) = kinds(*kind);
                Said::of(
                    format!("{{value:{one}/{few}/{many}}}{only} {of} {when}, zwykle {{usual}}"),
                    format!("liczba {}", those(*kind)),
                )
            }
            Aggregate::DecayedCount(kind) => {
                Said::value(format!("liczba ostatnich {} (starsze liczą się mniej)", those(*kind)))
            }
            Aggregate::Sum(value) | Aggregate::DecayedSum(value) => {
                Said::value(format!("suma {} {}", Self::value(value), those(value.kind)))
            }
            Aggregate::Mean(value) => Said::value(format!("średnia {} {}", Self::value(value), those(value.kind))),
            Aggregate::Deviation(value) => Said::value(format!("rozrzut {} {}", Self::value(value), those(value.kind))),
            Aggregate::Min(value) => {
                Said::value(format!("najmniejsza wartość {} {}", Self::value(value), those(value.kind)))
            }
            Aggregate::Max(value) => {
                Said::value(format!("największa wartość {} {}", Self::value(value), those(value.kind)))
            }
            Aggregate::ZScore(value) => Said::value(format!(
                "odchylenie {} tego zamówienia od średniej {}, w odchyleniach standardowych",
                Self::value(value),
                those(value.kind)
            )),
            Aggregate::Ratio(value) => Said::value(format!(
                "stosunek {} tego zamówienia do średniej {}",
                Self::value(value),
                those(value.kind)
            )),
            Aggregate::Distinct(part, kind) => {
                Said::value(format!("liczba różnych wartości ({}) wśród {}", self.name_of(part), those(*kind)))
            }
            Aggregate::Share(kind) => {
                Said::value(format!("udział spełniających warunek{only} wśród {} {of} {when}", kinds(*kind).2))
            }
            Aggregate::Rate { of: kind, per, norm, shrink } => {
                let against =
                    if norm.is_empty() { String::new() } else { format!(", wobec średniej {}", self.of(norm)) };
                let estimated = if *shrink > 0 { "szacowana " } else { "" };
                let per = accusative(*per);
                Said::value(format!("{estimated}liczba {} w przeliczeniu na {per}{against}", those(*kind)))
            }
            Aggregate::SinceFirst(kind) => since(*kind, &only, &of, "pierwszy raz"),
            Aggregate::SinceLast(kind) => since(*kind, &only, &of, "ostatni raz"),
            Aggregate::GapVariation(kind) => Said::of(
                format!("nierówność odstępów czasu {}: {{value}} (0 to jak w zegarku), zwykle {{usual}}", those(*kind)),
                format!("nierówność odstępów czasu {}", those(*kind)),
            ),
            Aggregate::Speed(place) => Said::value(format!(
                "prędkość od miejsca ostatniego zamówienia {of} do tego zamówienia ({})",
                point(*place)
            )),
            Aggregate::FraudCount => Said::of(
                format!("{{value:znane oszustwo/znane oszustwa/znanych oszustw}} {of} {when}, zwykle {{usual}}"),
                format!("liczba znanych oszustw {of} {when}"),
            ),
            Aggregate::OrdersSinceFraud => {
                Said::value(format!("zamówienia {of} rozliczone od ostatniego znanego oszustwa {when}"))
            }
            Aggregate::FraudRate { shrink } => {
                let estimated = if *shrink > 0 { "szacowany " } else { "" };
                Said::value(format!("{estimated}udział oszustw wśród zamówień {of} rozliczonych {when}"))
            }
            Aggregate::IsNew => Said::of(String::new(), String::new()),
        }
    }

    /// ` (kwota < 5)`, or nothing.
    fn conditions(&self, history: &History) -> String {
        if history.conditions.is_empty() {
            return String::new();
        }
        let one = |condition: &Condition| match condition {
            Condition::Compare { value, op, thousandths } => {
                let what = match value {
                    ValueOf::Amount => "kwota".to_owned(),
                    ValueOf::Age => "czas od zamówienia".to_owned(),
                    ValueOf::Number(name) => Self::quoted(name),
                };
                let number = match value {
                    ValueOf::Age => length(Span(*thousandths)),
                    _ => (*thousandths as f64 / 1_000.0).to_string().replace('.', ","),
                };
                format!("{what} {} {number}", op.sign())
            }
            Condition::Level { column, equal, level } => {
                format!("{} {} {}", self.noun(column), if *equal { "=" } else { "≠" }, Self::quoted(level))
            }
        };
        let all: Vec<String> = history.conditions.iter().map(one).collect();
        format!(" ({})", all.join(", "))
    }

    fn name_of(&self, part: &EntityPart) -> String {
        match part {
            EntityPart::Shop => "sklep".into(),
            EntityPart::IpNetwork(_) => "sieć IP".into(),
            EntityPart::EmailDomain(_) => "domena e-mail".into(),
            EntityPart::Bin(_) => "wydawca karty".into(),
            EntityPart::Column(name) => self.noun(name),
        }
    }
}

fn since(kind: EventKind, only: &str, of: &str, which: &str) -> Said {
    let topic = format!("{}{only} {of}, {which}", kinds(kind).0);
    Said::of(format!("{topic}: {{value}} temu, zwykle {{usual}}"), topic)
}

fn window(window: &Window) -> String {
    let delayed = (window.delayed != Span::default()).then(|| ago(window.delayed));
    match (window.over, delayed) {
        (None, None) => "dotąd".into(),
        (None, Some(delay)) => format!("do chwili na {delay} przed zamówieniem"),
        (Some(over), None) => last(over),
        (Some(over), Some(delay)) => format!("{}, do chwili na {delay} przed zamówieniem", last(over)),
    }
}

/// `w ostatniej godzinie`, `w ciągu ostatnich 7 dni`.
fn last(span: Span) -> String {
    let (n, unit) = parts(span);
    if n == 1 {
        let unit = ["w ostatniej sekundzie", "w ostatniej minucie", "w ostatniej godzinie", "w ostatnim dniu"][unit];
        return unit.into();
    }
    format!("w ciągu ostatnich {n} {}", ["sekund", "minut", "godzin", "dni"][unit])
}

/// On which time something falls: `na ostatnie 24 godziny`.
fn falls_on(window: &Window) -> String {
    match window.over {
        Some(over) if window.delayed == Span::default() => {
            let (n, unit) = parts(over);
            if n == 1 {
                let unit = ["ostatnią sekundę", "ostatnią minutę", "ostatnią godzinę", "ostatni dzień"][unit];
                return format!("na {unit}");
            }
            format!("na ostatnie {}", ago(over))
        }
        _ => self::window(window),
    }
}

/// `1 dzień`, `14 dni`, `2 godz.`
fn length(span: Span) -> String {
    let (n, unit) = parts(span);
    let unit = ["s", "min", "godz.", if n == 1 { "dzień" } else { "dni" }][unit];
    format!("{n} {unit}")
}

/// In the accusative: `1 dzień`, `2 godziny`, `30 dni`.
fn ago(span: Span) -> String {
    let (n, unit) = parts(span);
    let forms = [
        ["sekundę", "sekundy", "sekund"],
        ["minutę", "minuty", "minut"],
        ["godzinę", "godziny", "godzin"],
        ["dzień", "dni", "dni"],
    ][unit];
    let few = (2..=4).contains(&(n % 10)) && !(12..=14).contains(&(n % 100));
    let form = if n == 1 { 0 } else { 1 + usize::from(!few) };
    format!("{n} {}", forms[form])
}

/// One, in the accusative: `w przeliczeniu na ...`.
fn accusative(kind: EventKind) -> &'static str {
    match kind {
        EventKind::PaymentFailed => "odrzuconą płatność",
        EventKind::Signup => "rejestrację",
        EventKind::Review => "opinię",
        EventKind::Verification => "weryfikację",
        EventKind::PaymentChange => "zmianę danych płatności",
        other => kinds(other).0,
    }
}

/// Nominative.
fn point(point: Point) -> &'static str {
    match point {
        Point::Ip => "miejsce adresu IP",
        Point::Billing => "adres rozliczeniowy",
        Point::Shipping => "adres dostawy",
    }
}

/// One, two to four, and many.
fn kinds(kind: EventKind) -> (&'static str, &'static str, &'static str) {
    match kind {
        EventKind::Order => ("zamówienie", "zamówienia", "zamówień"),
        EventKind::PaymentFailed => ("odrzucona płatność", "odrzucone płatności", "odrzuconych płatności"),
        EventKind::Return => ("zwrot towaru", "zwroty towaru", "zwrotów towaru"),
        EventKind::Refund => ("zwrot pieniędzy", "zwroty pieniędzy", "zwrotów pieniędzy"),
        EventKind::RefundClaim => ("żądanie zwrotu pieniędzy", "żądania zwrotu pieniędzy", "żądań zwrotu pieniędzy"),
        EventKind::Chargeback => ("obciążenie zwrotne", "obciążenia zwrotne", "obciążeń zwrotnych"),
        EventKind::Cancel => ("anulowanie", "anulowania", "anulowań"),
        EventKind::Contact => ("kontakt ze sklepem", "kontakty ze sklepem", "kontaktów ze sklepem"),
        EventKind::Login => ("logowanie", "logowania", "logowań"),
        EventKind::Signup => ("rejestracja", "rejestracje", "rejestracji"),
        EventKind::Review => ("opinia", "opinie", "opinii"),
        EventKind::Verification => ("weryfikacja", "weryfikacje", "weryfikacji"),
        EventKind::PaymentChange => ("zmiana danych płatności", "zmiany danych płatności", "zmian danych płatności"),
        EventKind::AbuseReport => ("zgłoszenie nadużycia", "zgłoszenia nadużycia", "zgłoszeń nadużycia"),
    }
}
