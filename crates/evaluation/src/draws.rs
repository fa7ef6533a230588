//! Which orders a replicate holds, and how often: weights that are a function of (seed, replicate, what is drawn) alone.

use crate::ranked::Ranked;

/// What is drawn again as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// All orders of an entity.
    Entities,
    /// All orders of a day.
    Days,
    /// The orders of an entity on a day; single orders where there is neither.
    Cells,
}

impl Scheme {
    /// The schemes that the orders allow; the first that shares nothing with others where one is enough.
    pub(crate) fn of(ranked: &Ranked) -> &'static [Self] {
        match (ranked.entity.is_empty(), ranked.day.is_empty()) {
            (false, false) => &[Self::Entities, Self::Days, Self::Cells],
            (false, true) => &[Self::Entities],
            (true, false) => &[Self::Days],
            (true, true) => &[Self::Cells],
        }
    }

    /// What is drawn, in words.
    pub(crate) fn words(schemes: &[Self]) -> &'static str {
        match schemes {
            [Self::Entities] => "entities",
            [Self::Days] => "days",
            [Self::Cells] => "orders",
            _ => "days and entities",
        }
    }

    fn stream(self, seed: u64, replicate: u64) -> u64 {
        mixed(seed ^ mixed(replicate) ^ [0, 0x6461_7973, 0x6365_6c6c][self as usize])
    }

    /// How often each of `keys` (entities, or days as they are numbered) is drawn.
    pub(crate) fn of_keys(self, seed: u64, replicate: u64, keys: impl Iterator<Item = u64>) -> Vec<u8> {
        let stream = self.stream(seed, replicate);
        keys.map(|key| poisson(mixed(stream ^ key))).collect()
    }

    /// How often each order is drawn, and each entity or day where these are drawn.
    pub(crate) fn weights(self, ranked: &Ranked, seed: u64, replicate: u64, out: &mut Vec<u8>) -> Vec<u8> {
        out.clear();
        match self {
            Self::Entities => {
                let drawn = self.of_keys(seed, replicate, ranked.entities.iter().copied());
                out.extend(ranked.entity.iter().map(|&entity| drawn[entity as usize]));
                drawn
            }
            Self::Days => {
                let drawn = self.of_keys(seed, replicate, ranked.days.iter().map(|&day| day as u64));
                out.extend(ranked.day.iter().map(|&day| drawn[day as usize]));
                drawn
            }
            Self::Cells => {
                let stream = self.stream(seed, replicate);
                out.extend(ranked.cell.iter().map(|&cell| poisson(mixed(stream ^ cell))));
                Vec::new()
            }
        }
    }
}

/// Steele and Vigna's `SplitMix64` finalizer.
pub(crate) fn mixed(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A draw from the Poisson distribution of mean 1, cut at 9, by inversion: the constants are its distribution function. All are
/// compared, since a branch on what is drawn would be guessed wrong every other time.
fn poisson(bits: u64) -> u8 {
    const UP_TO: [f64; 9] = [
        0.367_879_441_171_442_33,
        0.735_758_882_342_884_7,
        0.919_698_602_928_605_8,
        0.981_011_843_123_846_2,
        0.996_340_153_172_656_3,
        0.999_405_815_182_418_3,
        0.999_916_758_850_712,
        0.999_989_750_803_325_3,
        0.999_998_874_797_402,
    ];
    let unit = (bits >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0);
    UP_TO.iter().map(|&share| u8::from(unit >= share)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_have_mean_and_variance_one() {
        let draws: Vec<f64> = (0..100_000).map(|i| f64::from(poisson(mixed(i)))).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 1e5;
        assert!((mean - 1.0).abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    }
}
