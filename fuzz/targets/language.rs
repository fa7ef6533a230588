//! Texts of features, feature files and schemas: an error, or something that is written as it is read.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use orderguard_features::extract::Extractor;
use orderguard_features::identity::{IdentityKey, PUBLIC_KEY};
use orderguard_features::language::explain::explain;
use orderguard_features::language::feature::Feature;
use orderguard_features::language::file::FeatureFile;
use orderguard_features::language::resolve::TablesPresent;
use orderguard_features::language::spec::FeatureSpec;
use orderguard_features::schema::Schema;
use orderguard_fuzz::{Shop, shop};

static SHOP: OnceLock<Shop> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let Some((&choice, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    match choice {
        b'f' => file(text),
        b's' => schema(text),
        _ => text.lines().for_each(feature),
    }
});

fn feature(text: &str) {
    let Ok(feature) = Feature::parse(text) else { return };
    let written = feature.to_string();
    assert_eq!(Feature::parse(&written).as_ref(), Ok(&feature), "{written}");
    let shop = SHOP.get_or_init(shop);
    let _ = explain(&shop.model.schema, &feature);
    let spec = FeatureSpec { features: vec![feature], ..FeatureSpec::default() };
    if spec.check(&shop.model.schema, TablesPresent::ALL).is_ok() {
        let _ = Extractor::new(&shop.model.schema, &spec, IdentityKey::new(PUBLIC_KEY));
    }
}

fn file(text: &str) {
    let Ok(file) = FeatureFile::from_toml(text) else { return };
    let written = file.to_toml();
    let again = FeatureFile::from_toml(&written).expect("what was written is read");
    assert_eq!(again.to_toml(), written);
    let shop = SHOP.get_or_init(shop);
    let _ = file.check(&shop.model.schema, TablesPresent::ALL);
    let _ = file.apply(&shop.model.spec);
}

fn schema(text: &str) {
    let Ok(schema) = Schema::from_toml(text) else { return };
    let written = schema.to_toml();
    let again = Schema::from_toml(&written).expect("what was written is read");
    assert_eq!((again.fingerprint(), again.to_toml()), (schema.fingerprint(), written));
}
