//! The patterns that are proposed in Polish.

use orderguard_features::kind::EventKind;
use orderguard_features::language::feature::{
    Aggregate, EntityPart, Feature, History, NetworkFeature, Place, Point, TextFunction, Value, ValueOf, Window,
};
use orderguard_features::language::resolve;
use orderguard_features::schema::{Role, Schema};
use orderguard_features::time::Span;

use super::Pattern;
use super::english::{conditions, escaped, parts};

/// The words for a feature.
pub(super) fn pattern(schema: &Schema, feature: &Feature) -> Pattern {
    let words = Words { schema };
    let missing = format!("brak danych: {}", escaped(&feature.to_string()));
    let plain = |text: String| Pattern { text, no: String::new(), first_seen: String::new(), missing: missing.clone() };
    let flag = |text: String, no: String| Pattern { no, ..plain(text) };
    match feature {
        Feature::Amount => plain("kwota zamówienia: {value}, zwykle {usual}".into()),
        Feature::Number(name) => plain(format!("{}: {{value}}, zwykle {{usual}}", words.noun(name))),
        Feature::Category(place) => plain(format!("{}: {{value}}, jak w {{share}} zamówień", words.place(place))),
        Feature::Hour => plain("godzina zamówienia: {value}, zwykle {usual}".into()),
        Feature::Weekday => plain("dzień zamówienia: {value}".into()),
        Feature::Night => flag("zamówienie złożono w nocy".into(), "zamówienia nie złożono w nocy".into()),
        Feature::Weekend => flag("zamówienie złożono w weekend".into(), "zamówienie złożono w dzień roboczy".into()),
        Feature::Since(name) => plain(format!("{}: {{value}} wcześniej, zwykle {{usual}}", words.noun(name))),
        Feature::Text { function, column } => {
            let noun = words.noun(column);
            let (yes, no) = match function {
                TextFunction::Valid => ("zapis poprawny", "zapis niepoprawny"),
                TextFunction::Free => ("darmowy dostawca poczty", "inny niż darmowy dostawca poczty"),
                TextFunction::Disposable => ("jednorazowa skrzynka pocztowa", "zwykła skrzynka pocztowa"),
                TextFunction::Private => ("sieć prywatna", "sieć publiczna"),
                TextFunction::V6 => ("wersja 6", "wersja 4"),
                TextFunction::Bot => ("narzędzie automatyczne", "nie jest narzędziem automatycznym"),
                TextFunction::Mobile => ("telefon lub tablet", "inne urządzenie niż telefon lub tablet"),
                TextFunction::Length => ("długość {value:znak/znaki/znaków}, zwykle {usual}", ""),
                TextFunction::DigitShare => ("udział cyfr {value}, zwykle {usual}", ""),
                TextFunction::Entropy => ("losowość znaków {value} bita na znak, zwykle {usual}", ""),
                TextFunction::LongestRun => {
                    ("najdłuższy ciąg jednego rodzaju {value:znak/znaki/znaków}, zwykle {usual}", "")
                }
            };
            let no = if no.is_empty() { String::new() } else { format!("{noun}: {no}") };
            flag(format!("{noun}: {yes}"), no)
        }
        Feature::Similarity(a, b) => {
            plain(format!("podobieństwo ({} i {}): {{value}}, zwykle {{usual}}", words.noun(a), words.noun(b)))
        }
        Feature::Mismatch(a, b) => {
            let pair = format!("{} i {}", words.place(a), words.place(b));
            flag(format!("różne: {pair}"), format!("zgodne: {pair}"))
        }
        Feature::Km(a, b) => plain(format!("odległość ({} – {}): {{value}}, zwykle {{usual}}", point(*a), point(*b))),
        Feature::History(history) => {
            let first_seen = words.first_seen(&history.entity);
            if history.aggregate == Aggregate::IsNew {
                return Pattern { no: words.seen_before(&history.entity), ..plain(first_seen) };
            }
            Pattern { first_seen, ..plain(words.history(history)) }
        }
        Feature::Network(network) => {
            let text = match network {
                NetworkFeature::ClusterSize => {
                    "{value:konto/konta/kont} w grupie połączonej wspólnymi danymi, zwykle {usual}".to_owned()
                }
                NetworkFeature::ClusterFrauds => {
                    "{value:znane oszustwo/znane oszustwa/znanych oszustw} na powiązanych kontach, zwykle {usual}"
                        .to_owned()
                }
                NetworkFeature::ClusterNewLinks => {
                    "dane nowe dla tego konta, a znane z innych kont: {value}, zwykle {usual}".to_owned()
                }
                NetworkFeature::AccountsPer(name) => {
                    format!("{}: dotąd na {{value:koncie/kontach/kontach}}, zwykle {{usual}}", words.noun(name))
                }
            };
            Pattern { first_seen: "to konto widzimy po raz pierwszy".into(), ..plain(text) }
        }
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
            EntityPart::IpNetwork(_) => ("z tej sieci", "tę sieć"),
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

    fn history(&self, history: &History) -> String {
        let of = self.of(&history.entity);
        let when = window(&history.window);
        let only = conditions(history);
        let those = |kind: EventKind| format!("{}{only} {of} {when}", kinds(kind).2);
        if let Some(versus) = history.window.versus {
            let longer = window(&Window { over: Some(versus), ..history.window });
            return match &history.aggregate {
                Aggregate::Count(kind) => {
                    let many = kinds(*kind).2;
                    format!("{{value}} {many}{only} {of} {longer} przypada {when}, zwykle {{usual}}")
                }
                Aggregate::Sum(value) => {
                    let (many, of_it) = (kinds(value.kind).2, Self::value(value));
                    format!("{{value}} {of_it} {many}{only} {of} {longer} przypada {when}, zwykle {{usual}}")
                }
                Aggregate::Mean(value) | Aggregate::Deviation(value) => {
                    let what = if matches!(history.aggregate, Aggregate::Mean(_)) { "średniej" } else { "rozrzutu" };
                    let (many, of_it) = (kinds(value.kind).2, Self::value(value));
                    format!(
                        "stosunek {what} {of_it} {many}{only} {of} {when} do tej {longer}: {{value}}, zwykle {{usual}}"
                    )
                }
                _ => {
                    let what = escaped(&Feature::History(history.clone()).to_string());
                    format!("{what}: {{value}}, zwykle {{usual}}")
                }
            };
        }
        let usual = "zwykle {usual}";
        match &history.aggregate {
            Aggregate::Count(kind) => {
                let (one, few, many) = kinds(*kind);
                format!("{{value:{one}/{few}/{many}}}{only} {of} {when}, {usual}")
            }
            Aggregate::DecayedCount(kind) => {
                format!("liczba ostatnich {} (starsze liczą się mniej): {{value}}, {usual}", those(*kind))
            }
            Aggregate::Sum(value) | Aggregate::DecayedSum(value) => {
                format!("suma {} {}: {{value}}, {usual}", Self::value(value), those(value.kind))
            }
            Aggregate::Mean(value) => {
                format!("średnia {} {}: {{value}}, {usual}", Self::value(value), those(value.kind))
            }
            Aggregate::Deviation(value) => {
                format!("rozrzut {} {}: {{value}}, {usual}", Self::value(value), those(value.kind))
            }
            Aggregate::Min(value) => {
                format!("najmniejsza wartość {} {}: {{value}}, {usual}", Self::value(value), those(value.kind))
            }
            Aggregate::Max(value) => {
                format!("największa wartość {} {}: {{value}}, {usual}", Self::value(value), those(value.kind))
            }
            Aggregate::ZScore(value) => format!(
                "odchylenie {} tego zamówienia od średniej {}: {{value}} odchylenia standardowego, {usual}",
                Self::value(value),
                those(value.kind)
            ),
            Aggregate::Ratio(value) => format!(
                "stosunek {} tego zamówienia do średniej {}: {{value}}, {usual}",
                Self::value(value),
                those(value.kind)
            ),
            Aggregate::Distinct(part, kind) => {
                format!("liczba różnych wartości ({}) wśród {}: {{value}}, {usual}", self.name_of(part), those(*kind))
            }
            Aggregate::Share(kind) => format!("udział{only} wśród {} {of} {when}: {{value}}, {usual}", kinds(*kind).2),
            Aggregate::Rate { of: kind, per, norm, .. } => {
                let against =
                    if norm.is_empty() { String::new() } else { format!(", wobec średniej {}", self.of(norm)) };
                format!("liczba {} w przeliczeniu na {}{against}: {{value}}, {usual}", those(*kind), kinds(*per).0)
            }
            Aggregate::SinceFirst(kind) => {
                format!("{}{only} {of}, pierwszy raz: {{value}} temu, {usual}", kinds(*kind).0)
            }
            Aggregate::SinceLast(kind) => {
                format!("{}{only} {of}, ostatni raz: {{value}} temu, {usual}", kinds(*kind).0)
            }
            Aggregate::GapVariation(kind) => {
                format!("nierówność odstępów czasu {}: {{value}} (0 to jak w zegarku), {usual}", those(*kind))
            }
            Aggregate::Speed(place) => format!(
                "prędkość od miejsca ostatniego zamówienia {of} do tego zamówienia ({}): {{value}}, {usual}",
                point(*place)
            ),
            Aggregate::FraudCount => {
                format!("{{value:znane oszustwo/znane oszustwa/znanych oszustw}} {of} {when}, {usual}")
            }
            Aggregate::OrdersSinceFraud => {
                format!("zamówienia {of} rozliczone od ostatniego znanego oszustwa {when}: {{value}}, {usual}")
            }
            Aggregate::FraudRate { .. } => {
                format!("udział oszustw wśród zamówień {of} rozliczonych {when}: {{value}}, {usual}")
            }
            Aggregate::IsNew => String::new(),
        }
    }

    fn name_of(&self, part: &EntityPart) -> String {
        match part {
            EntityPart::Shop => "sklep".into(),
            EntityPart::IpNetwork(_) => "sieć".into(),
            EntityPart::EmailDomain(_) => "domena e-mail".into(),
            EntityPart::Bin(_) => "wydawca karty".into(),
            EntityPart::Column(name) => self.noun(name),
        }
    }
}

fn window(window: &Window) -> String {
    let delayed = (window.delayed != Span::default()).then(|| ago(window.delayed));
    match (window.over, delayed) {
        (None, None) => "dotąd".into(),
        (None, Some(delay)) => format!("do chwili {delay} przed zamówieniem"),
        (Some(over), None) => last(over),
        (Some(over), Some(delay)) => format!("{}, do chwili {delay} przed zamówieniem", last(over)),
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

/// `1 dzień`, `2 godziny`, `30 dni`.
fn ago(span: Span) -> String {
    let (n, unit) = parts(span);
    let forms = [
        ["sekundę", "sekundy", "sekund"],
        ["minutę", "minuty", "minut"],
        ["godzinę", "godziny", "godzin"],
        ["dzień", "dni", "dni"],
    ][unit];
    let few = (2..=4).contains(&(n % 10)) && !(12..=14).contains(&(n % 100));
    format!(
        "{n} {}",
        forms[if n == 1 {
            0
        } else if few {
            1
        } else {
            2
        }]
    )
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
