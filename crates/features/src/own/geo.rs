//! Where network addresses are, by a MaxMind database that the user brings, and distances on the globe.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use foldhash::fast::FixedState;
use maxminddb::{MaxMindDbError, Reader};

/// A MaxMind database with countries or cities (`GeoIP2`, `GeoLite2`, or another maker's of the same layout).
///
/// Every record is read once, when the table is made: a damaged database is refused then, and a look-up later walks the
/// tree and finds the record ready.
pub struct GeoTable {
    reader: Reader<Vec<u8>>,
    /// By offset in the file's data section.
    places: HashMap<usize, GeoPlace, FixedState>,
    countries: Vec<Box<str>>,
    hash: u64,
}

/// What the database says of a network.
#[derive(Clone, Copy, Debug)]
struct GeoPlace {
    /// Position in `countries`.
    country: Option<u32>,
    /// Degrees north and east.
    point: Option<(f64, f64)>,
}

impl fmt::Debug for GeoTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeoTable")
            .field("database_type", &self.reader.metadata().database_type)
            .field("n_records", &self.places.len())
            .field("n_countries", &self.countries.len())
            .finish_non_exhaustive()
    }
}

/// A MaxMind database that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GeoError {
    /// The file has no MaxMind metadata at its end: something else, or cut off.
    NotADatabase {
        /// Its size.
        n_bytes: usize,
    },
    /// The tree or a record is damaged.
    Corrupt {
        /// What the reader found.
        reason: String,
    },
    /// A sound database that has neither countries nor coordinates.
    WrongKind {
        /// Its type as it calls itself, such as `GeoLite2-ASN`.
        database_type: String,
    },
}

impl fmt::Display for GeoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotADatabase { n_bytes } => write!(
                f,
                "geo: expected a MaxMind database with metadata at its end, found {n_bytes} bytes without (another kind of \
                 file, or one that is cut off)"
            ),
            Self::Corrupt { reason } => write!(f, "geo: the MaxMind database is damaged: {reason}"),
            Self::WrongKind { database_type } => write!(
                f,
                "geo: expected a MaxMind database of countries or cities, found one of type {database_type:?} with neither"
            ),
        }
    }
}

impl std::error::Error for GeoError {}

/// The parts of a record that are read.
#[derive(serde::Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    country: Option<RecordCountry<'a>>,
    location: Option<RecordLocation>,
}

#[derive(serde::Deserialize)]
struct RecordCountry<'a> {
    iso_code: Option<&'a str>,
}

#[derive(serde::Deserialize)]
struct RecordLocation {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

impl GeoTable {
    /// Reads a database from the bytes of its file. Walks the whole tree and decodes each record once.
    pub fn new(bytes: Vec<u8>) -> Result<Self, GeoError> {
        const METADATA_MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
        // The specification has the metadata within the last 128 kB.
        let tail = &bytes[bytes.len().saturating_sub(128 * 1024)..];
        if !tail.windows(METADATA_MARKER.len()).any(|window| window == METADATA_MARKER) {
            return Err(GeoError::NotADatabase { n_bytes: bytes.len() });
        }
        let hash = super::tables::content_hash(&bytes);
        let reader = Reader::from_source(bytes).map_err(|error| corrupt(&error))?;

        let mut places = HashMap::with_hasher(FixedState::default());
        let mut countries: Vec<Box<str>> = Vec::new();
        let mut known = HashMap::new();
        // A tree of n nodes has n + 1 leaves, more where a maker lets networks share a branch; one whose nodes point back at
        // themselves has exponentially many.
        let most_networks = 3 * reader.metadata().node_count as usize + 1;
        for (nth, network) in reader.networks(maxminddb::WithinOptions::default()).map_err(|e| corrupt(&e))?.enumerate()
        {
            if nth >= most_networks {
                return Err(GeoError::Corrupt { reason: "the search tree has a cycle".into() });
            }
            let network = network.map_err(|error| corrupt(&error))?;
            let Some(offset) = network.offset() else { continue };
            if places.contains_key(&offset) {
                continue;
            }
            let record: Option<Record<'_>> = network.decode().map_err(|error| corrupt(&error))?;
            let iso_code =
                record.as_ref().and_then(|record| record.country.as_ref()).and_then(|country| country.iso_code);
            let country = iso_code.filter(|code| !code.is_empty()).map(|code| {
                *known.entry(code.to_ascii_uppercase()).or_insert_with_key(|code| {
                    countries.push(code.as_str().into());
                    countries.len() as u32 - 1
                })
            });
            let point = record.and_then(|record| record.location).and_then(|place| {
                let (latitude, longitude) = (place.latitude?, place.longitude?);
                // The positive form, so that NaN is no place either.
                (latitude.abs() <= 90.0 && longitude.abs() <= 180.0).then_some((latitude, longitude))
            });
            places.insert(offset, GeoPlace { country, point });
        }
        if countries.is_empty() && !places.values().any(|place| place.point.is_some()) {
            return Err(GeoError::WrongKind { database_type: reader.metadata().database_type.clone() });
        }
        Ok(Self { reader, places, countries, hash })
    }

    /// A hash of the file's content.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The country of an address as ISO 3166-1 alpha-2 code in upper case; `None` where the database has none.
    pub fn country(&self, address: IpAddr) -> Option<&str> {
        let country = self.place(address)?.country?;
        Some(&self.countries[country as usize])
    }

    /// Degrees north and east of an address; `None` where the database has none (one of countries has none at all).
    pub fn point(&self, address: IpAddr) -> Option<(f64, f64)> {
        self.place(address)?.point
    }

    fn place(&self, address: IpAddr) -> Option<&GeoPlace> {
        // A database of version 4 answers no question about version 6.
        let offset = self.reader.lookup(address.to_canonical()).ok()?.offset()?;
        self.places.get(&offset)
    }
}

fn corrupt(error: &MaxMindDbError) -> GeoError {
    GeoError::Corrupt { reason: error.to_string() }
}

/// The mean radius of the Earth in km (IUGG 1980).
const EARTH_RADIUS_KM: f64 = 6_371.008_8;

/// Great-circle distance in km of two points in degrees north and east, on a sphere: within 0.6 % of the distance on the
/// ellipsoid. NaN where a coordinate is not finite.
///
/// # Reference
/// Sinnott: Virtues of the Haversine (1984).
pub fn km(a: (f64, f64), b: (f64, f64)) -> f64 {
    let (north_a, north_b) = (a.0.to_radians(), b.0.to_radians());
    let half_sine = |degrees: f64| libm::sin(degrees.to_radians() / 2.0);
    let (across, along) = (half_sine(b.0 - a.0), half_sine(b.1 - a.1));
    let haversine = across * across + libm::cos(north_a) * libm::cos(north_b) * (along * along);
    // Rounding may lead a little beyond 1 for opposite points.
    if haversine.is_nan() { f64::NAN } else { 2.0 * EARTH_RADIUS_KM * libm::asin(libm::sqrt(haversine.min(1.0))) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LONDON: (f64, f64) = (51.5074, -0.1278);
    const NEW_YORK: (f64, f64) = (40.7128, -74.0060);
    const SYDNEY: (f64, f64) = (-33.8688, 151.2093);
    const TOKYO: (f64, f64) = (35.6762, 139.6503);

    #[test]
    fn distances_of_cities() {
        for (a, b, expected) in [
            (LONDON, NEW_YORK, 5_570.0),
            (LONDON, SYDNEY, 16_994.0),
            (TOKYO, SYDNEY, 7_823.0),
            (NEW_YORK, TOKYO, 10_849.0),
        ] {
            assert!((km(a, b) / expected - 1.0).abs() < 0.003, "{} for {expected}", km(a, b));
        }
        assert!((km((0.0, 179.5), (0.0, -179.5)) - 111.195).abs() < 0.01, "across the date line");
        assert!((km((90.0, 0.0), (-90.0, 77.0)) - std::f64::consts::PI * EARTH_RADIUS_KM).abs() < 1e-6);
        assert!(km((f64::NAN, 0.0), LONDON).is_nan() && km(LONDON, (0.0, f64::INFINITY)).is_nan());
    }

    const DATABASE: &[u8] = include_bytes!("../../tests/data/geo-test.mmdb");

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_have_countries_and_places() {
        let table = GeoTable::new(DATABASE.to_vec()).unwrap();
        for (text, country, point) in [
            ("192.0.2.1", Some("GB"), Some(LONDON)),
            ("::ffff:192.0.2.1", Some("GB"), Some(LONDON)),
            ("192.0.2.200", Some("US"), Some(NEW_YORK)),
            ("203.0.113.5", Some("AU"), Some(SYDNEY)),
            ("203.0.113.130", Some("BR"), None),
            ("203.0.113.250", None, Some((48.8566, 2.3522))),
            ("8.8.8.8", None, None),
            ("2001:db8::1", Some("DE"), Some((52.52, 13.405))),
            ("2001:db8:ffff::1", Some("FR"), Some((48.8566, 2.3522))),
            ("2606:4700::1", None, None),
        ] {
            assert_eq!((table.country(address(text)), table.point(address(text))), (country, point), "{text}");
        }
        assert_ne!(table.hash(), 0);
        assert!(format!("{table:?}").contains("GeoLite2-City"));
    }

    #[test]
    fn rejects_other_files() {
        let n_bytes = DATABASE.len();
        for cut in [0, 1, 100, n_bytes / 2] {
            assert_eq!(GeoTable::new(DATABASE[..cut].to_vec()).unwrap_err(), GeoError::NotADatabase { n_bytes: cut });
        }
        assert!(matches!(GeoTable::new(DATABASE[..n_bytes - 5].to_vec()), Err(GeoError::Corrupt { .. })));
        assert!(
            matches!(GeoTable::new(DATABASE[200..].to_vec()), Err(GeoError::Corrupt { .. })),
            "its beginning cut off"
        );
        let asn = include_bytes!("../../tests/data/asn-test.mmdb").to_vec();
        let error = GeoTable::new(asn).unwrap_err();
        assert_eq!(error, GeoError::WrongKind { database_type: "GeoLite2-ASN".into() });
        assert!(error.to_string().contains("GeoLite2-ASN"));
    }

    #[test]
    fn a_tree_of_cycles_is_refused_soon() {
        let mut bytes = DATABASE.to_vec();
        // All records of the tree lead back to its root.
        let metadata = Reader::from_source(DATABASE).unwrap().metadata().clone();
        let tree = metadata.node_count as usize * usize::from(metadata.record_size) / 4;
        bytes[..tree].fill(0);
        assert!(matches!(GeoTable::new(bytes), Err(GeoError::Corrupt { .. } | GeoError::WrongKind { .. })));
    }

    proptest! {
        #[test]
        fn damaged_bytes_give_an_error_or_answers(changes in proptest::collection::vec((0..DATABASE.len(), any::<u8>()), 1..8),
                                                  cut in 0..DATABASE.len() * 4) {
            let mut bytes = DATABASE.to_vec();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            bytes.truncate(cut.max(1));
            if let Ok(table) = GeoTable::new(bytes) {
                for text in ["192.0.2.1", "203.0.113.250", "8.8.8.8", "2001:db8::1", "::1"] {
                    let point = table.point(address(text));
                    prop_assert!(point.is_none_or(|(north, east)| north.abs() <= 90.0 && east.abs() <= 180.0));
                    let _ = table.country(address(text));
                }
            }
        }

        #[test]
        fn distance_is_that_of_the_chord(a in (-90.0..90.0_f64, -180.0..180.0_f64), b in (-90.0..90.0_f64, -180.0..180.0_f64)) {
            let vector = |(north, east): (f64, f64)| {
                let (north, east) = (north.to_radians(), east.to_radians());
                [north.cos() * east.cos(), north.cos() * east.sin(), north.sin()]
            };
            let chord: f64 = vector(a).iter().zip(vector(b)).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt();
            let expected = 2.0 * EARTH_RADIUS_KM * (chord / 2.0).min(1.0).asin();
            prop_assert!((km(a, b) - expected).abs() < 0.01, "{} {}", km(a, b), expected);
            prop_assert_eq!(km(a, b).to_bits(), km(b, a).to_bits());
            prop_assert_eq!(km(a, a), 0.0);
        }
    }
}
