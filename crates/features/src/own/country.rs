//! Countries by their codes.

use std::sync::LazyLock;

/// Each three-letter code with the two-letter code of the same country, by the three letters. Source: ISO 3166-1, as of 2024;
/// `XKX` and `XK` are in use for Kosovo, which has none there.
const CODES: &str = "\
    ABWAW AFGAF AGOAO AIAAI ALAAX ALBAL ANDAD AREAE ARGAR ARMAM ASMAS ATAAQ ATFTF ATGAG AUSAU AUTAT AZEAZ BDIBI \
    BELBE BENBJ BESBQ BFABF BGDBD BGRBG BHRBH BHSBS BIHBA BLMBL BLRBY BLZBZ BMUBM BOLBO BRABR BRBBB BRNBN BTNBT \
    BVTBV BWABW CAFCF CANCA CCKCC CHECH CHLCL CHNCN CIVCI CMRCM CODCD COGCG COKCK COLCO COMKM CPVCV CRICR CUBCU \
    CUWCW CXRCX CYMKY CYPCY CZECZ DEUDE DJIDJ DMADM DNKDK DOMDO DZADZ ECUEC EGYEG ERIER ESHEH ESPES ESTEE ETHET \
    FINFI FJIFJ FLKFK FRAFR FROFO FSMFM GABGA GBRGB GEOGE GGYGG GHAGH GIBGI GINGN GLPGP GMBGM GNBGW GNQGQ GRCGR \
    GRDGD GRLGL GTMGT GUFGF GUMGU GUYGY HKGHK HMDHM HNDHN HRVHR HTIHT HUNHU IDNID IMNIM INDIN IOTIO IRLIE IRNIR \
    IRQIQ ISLIS ISRIL ITAIT JAMJM JEYJE JORJO JPNJP KAZKZ KENKE KGZKG KHMKH KIRKI KNAKN KORKR KWTKW LAOLA LBNLB \
    LBRLR LBYLY LCALC LIELI LKALK LSOLS LTULT LUXLU LVALV MACMO MAFMF MARMA MCOMC MDAMD MDGMG MDVMV MEXMX MHLMH \
    MKDMK MLIML MLTMT MMRMM MNEME MNGMN MNPMP MOZMZ MRTMR MSRMS MTQMQ MUSMU MWIMW MYSMY MYTYT NAMNA NCLNC NERNE \
    NFKNF NGANG NICNI NIUNU NLDNL NORNO NPLNP NRUNR NZLNZ OMNOM PAKPK PANPA PCNPN PERPE PHLPH PLWPW PNGPG POLPL \
    PRIPR PRKKP PRTPT PRYPY PSEPS PYFPF QATQA REURE ROURO RUSRU RWARW SAUSA SDNSD SENSN SGPSG SGSGS SHNSH SJMSJ \
    SLBSB SLESL SLVSV SMRSM SOMSO SPMPM SRBRS SSDSS STPST SURSR SVKSK SVNSI SWESE SWZSZ SXMSX SYCSC SYRSY TCATC \
    TCDTD TGOTG THATH TJKTJ TKLTK TKMTM TLSTL TONTO TTOTT TUNTN TURTR TUVTV TWNTW TZATZ UGAUG UKRUA UMIUM URYUY \
    USAUS UZBUZ VATVA VCTVC VENVE VGBVG VIRVI VNMVN VUTVU WLFWF WSMWS XKXXK YEMYE ZAFZA ZMBZM ZWEZW";

/// The same as pairs.
static SORTED: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
    let mut codes: Vec<(&str, &str)> = CODES.split_ascii_whitespace().map(|code| code.split_at(3)).collect();
    codes.sort_unstable();
    codes
});

/// The ISO 3166-1 alpha-2 code of an alpha-3 code, both in upper case; `None` for all else.
pub fn alpha_2(text: &str) -> Option<&'static str> {
    if text.len() != 3 {
        return None;
    }
    let at = SORTED.binary_search_by_key(&text, |code| code.0).ok()?;
    Some(SORTED[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_letters_are_two() {
        for (three, two) in
            [("DEU", "DE"), ("USA", "US"), ("GBR", "GB"), ("CHE", "CH"), ("XKX", "XK"), ("AFG", "AF"), ("ZWE", "ZW")]
        {
            assert_eq!(alpha_2(three), Some(two));
        }
        for other in ["DE", "deu", "XYZ", "", "Germany", "\u{e9}A"] {
            assert_eq!(alpha_2(other), None, "{other}");
        }
        assert_eq!(SORTED.len(), 250);
        let is_code = |code: &str, n: usize| code.len() == n && code.bytes().all(|byte| byte.is_ascii_uppercase());
        assert!(SORTED.iter().all(|(three, two)| is_code(three, 3) && is_code(two, 2)));
        assert!(SORTED.windows(2).all(|pair| pair[0].0 < pair[1].0));
        let mut two: Vec<&str> = SORTED.iter().map(|code| code.1).collect();
        two.sort_unstable();
        assert!(two.windows(2).all(|pair| pair[0] < pair[1]), "each country once");
    }
}
