//! Phone numbers: whether one can exist, and which country it belongs to.
//!
//! The rules are those of the numbering plans, which change slowly: lengths by ITU-T E.164, calling codes by the ITU's
//! list of assigned codes, area codes of North America by its plan. Whether a subscriber has the number is not asked.

use std::sync::LazyLock;

use super::spelling::Made;

/// Most digits of an international number (ITU-T E.164, section 6.2.1).
const MAX_DIGITS: usize = 15;
/// Fewest digits of an international number in use (`+683 4000`, Niue).
const MIN_INTERNATIONAL: usize = 7;
/// Fewest digits of a number as it is dialled within one country, area code included or not.
const MIN_NATIONAL: usize = 6;

/// The digits of a phone number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phone {
    digits: [u8; MAX_DIGITS],
    n_digits: usize,
    /// Whether the calling code is known to come first: written with `+` or `00`.
    international: bool,
    /// Whether nothing but digits and the usual marks between them was found.
    clean: bool,
}

impl Phone {
    /// Reads a number: `+49 (0)30 123-456`, `0049 30 123456`, `(555) 355-1785 x12`. An extension is cut off. `None` where
    /// there are no digits or more than any number has.
    pub fn parse(text: &str) -> Option<Self> {
        let mut phone = Self { digits: [0; MAX_DIGITS], n_digits: 0, international: false, clean: true };
        phone.international = scan(text, &mut phone.clean, |digit| {
            if let Some(place) = phone.digits.get_mut(phone.n_digits) {
                *place = digit;
            }
            phone.n_digits += 1;
        });
        (1..=MAX_DIGITS).contains(&phone.n_digits).then_some(phone)
    }

    /// The digits, without the international prefix.
    pub fn digits(&self) -> &str {
        std::str::from_utf8(&self.digits[..self.n_digits]).expect("ASCII digits")
    }

    /// Whether the number can exist: of a possible length, with an assigned calling code where it has one, within North
    /// America of ten digits of which the area code and the exchange begin with 2 to 9; never one digit repeated.
    pub fn is_valid(&self) -> bool {
        let digits = self.digits();
        if !self.clean || digits.bytes().all(|digit| digit == digits.as_bytes()[0]) {
            return false;
        }
        if !self.international {
            return self.n_digits >= MIN_NATIONAL;
        }
        match digits.strip_prefix('1') {
            Some(rest) => rest.len() == 10 && matches!(rest.as_bytes(), [b'2'..=b'9', _, _, b'2'..=b'9', ..]),
            None => self.n_digits >= MIN_INTERNATIONAL && longest_prefix(digits).is_some(),
        }
    }

    /// The country of an international number, as ISO 3166-1 alpha-2 code (`XK` for Kosovo); `None` for a national number
    /// and for a code that does not tell (satellite phones, French overseas departments that share one).
    pub fn country(&self) -> Option<&'static str> {
        if !self.international {
            return None;
        }
        let digits = self.digits();
        if let Some(area) = digits.strip_prefix('1').and_then(|rest| rest.get(..3)) {
            let area: usize = area.parse().expect("three digits");
            return AREA_CODES[area];
        }
        longest_prefix(digits)?
    }
}

/// One spelling of a phone number: its digits without international prefix and extension. Empty where there are none.
pub fn spelling(text: &str) -> Made {
    let mut digits = Made::new();
    scan(text, &mut true, |digit| digits.push(char::from(digit)));
    digits
}

/// Gives the digits of a number one by one and says whether the number is international.
///
/// `+` or `00` before it is the international prefix; a trunk zero in brackets (`+49 (0)30`) is no part of an international
/// number. A letter or `#` behind digits begins an extension.
fn scan(text: &str, clean: &mut bool, mut digit: impl FnMut(u8)) -> bool {
    let text = text.trim();
    let text = text.strip_prefix("tel:").unwrap_or(text);
    // What is needed of a text that may be long is its digits; other characters are all ASCII or strange.
    let bytes = text.as_bytes();
    let mut from = 0;
    let mut plus = false;
    while let Some(&byte) = bytes.get(from) {
        match byte {
            b'+' => plus = true,
            b'0'..=b'9' => break,
            b' ' | b'(' => {}
            _ => *clean = false,
        }
        from += 1;
    }
    let rest = &bytes[from..];
    let (international, rest) = match rest {
        _ if plus => (true, rest),
        [b'0', b'0', rest @ ..] if matches!(rest.iter().find(|byte| byte.is_ascii_digit()), Some(b'1'..=b'9')) => {
            (true, rest)
        }
        _ => (false, rest),
    };
    let mut at = 0;
    while let Some(&byte) = rest.get(at) {
        match byte {
            b'0'..=b'9' => digit(byte),
            b'(' if international && rest[at..].starts_with(b"(0)") => at += 2,
            b' ' | b'-' | b'.' | b'/' | b'(' | b')' => {}
            b'a'..=b'z' | b'A'..=b'Z' | b'#' | b',' | b';' => {
                // An extension is a mark and a few digits; anything else is no phone number.
                let mark = rest[at..].iter().take_while(|b| !b.is_ascii_digit()).count();
                let tail = &rest[at + mark..];
                let word =
                    rest[at..at + mark].iter().copied().filter(u8::is_ascii_alphabetic).map(|b| b.to_ascii_lowercase());
                let known =
                    [&b""[..], b"x", b"ext", b"extension"].iter().any(|name| word.clone().eq(name.iter().copied()));
                *clean &= known && (1..=7).contains(&tail.len()) && tail.iter().all(u8::is_ascii_digit);
                break;
            }
            _ => *clean = false,
        }
        at += 1;
    }
    international
}

/// How alike two numbers are: 1 for the same digits, else 1 - edits / number of digits of the longer one. NaN when one has
/// no digits.
pub fn similarity(a: &str, b: &str) -> f32 {
    let (Some(a), Some(b)) = (Phone::parse(a), Phone::parse(b)) else { return f32::NAN };
    super::distance::Pattern::new(a.digits().as_bytes()).similarity([b.digits().as_bytes()]) as f32
}

/// Assigned calling codes and the country of each, with the longer prefixes that tell apart countries which share a code;
/// `-` where the number does not tell. Source: ITU-T, List of Recommendation E.164 assigned country codes, and the numbering
/// plans of the countries that share one. Code 1 is in the area codes below.
const CALLING_CODES: &str = "\
20:EG 211:SS 212:MA 213:DZ 216:TN 218:LY 220:GM 221:SN 222:MR 223:ML 224:GN 225:CI 226:BF 227:NE 228:TG 229:BJ \
230:MU 231:LR 232:SL 233:GH 234:NG 235:TD 236:CF 237:CM 238:CV 239:ST 240:GQ 241:GA 242:CG 243:CD 244:AO 245:GW \
246:IO 247:SH 248:SC 249:SD 250:RW 251:ET 252:SO 253:DJ 254:KE 255:TZ 256:UG 257:BI 258:MZ 260:ZM 261:MG 262:RE \
262269:YT 262639:YT 263:ZW 264:NA 265:MW 266:LS 267:BW 268:SZ 269:KM 27:ZA 290:SH 291:ER 297:AW 298:FO 299:GL \
30:GR 31:NL 32:BE 33:FR 34:ES 350:GI 351:PT 352:LU 353:IE 354:IS 355:AL 356:MT 357:CY 358:FI 35818:AX 359:BG \
36:HU 370:LT 371:LV 372:EE 373:MD 374:AM 375:BY 376:AD 377:MC 378:SM 379:VA 380:UA 381:RS 382:ME 383:XK 385:HR \
386:SI 387:BA 389:MK 39:IT 3906698:VA 40:RO 41:CH 420:CZ 421:SK 423:LI 43:AT \
44:GB 441481:GG 441534:JE 441624:IM 447509:- 447524:- 447624:- 447700:- 447781:- 447797:- 447829:- 447839:- \
447911:- 447924:- 447937:- 45:DK 46:SE 47:NO 4779:SJ 48:PL 49:DE 500:FK 501:BZ 502:GT 503:SV 504:HN 505:NI 506:CR \
507:PA 508:PM 509:HT 51:PE 52:MX 53:CU 54:AR 55:BR 56:CL 57:CO 58:VE 590:- 591:BO 592:GY 593:EC 594:GF 595:PY \
596:MQ 597:SR 598:UY 599:- 5993:BQ 5994:BQ 5997:BQ 5999:CW 60:MY 61:AU 6189162:CC 6189164:CX 62:ID 63:PH 64:NZ \
65:SG 66:TH 670:TL 672:- 6721:AQ 6723:NF 673:BN 674:NR 675:PG 676:TO 677:SB 678:VU 679:FJ 680:PW 681:WF 682:CK \
683:NU 685:WS 686:KI 687:NC 688:TV 689:PF 690:TK 691:FM 692:MH 7:- 73:RU 74:RU 76:KZ 77:KZ 78:RU 79:RU 800:- 808:- \
81:JP 82:KR 84:VN 850:KP 852:HK 853:MO 855:KH 856:LA 86:CN 870:- 878:- 880:BD 881:- 882:- 883:- 886:TW 888:- 90:TR \
91:IN 92:PK 93:AF 94:LK 95:MM 960:MV 961:LB 962:JO 963:SY 964:IQ 965:KW 966:SA 967:YE 968:OM 970:PS 971:AE 972:IL \
973:BH 974:QA 975:BT 976:MN 977:NP 979:- 98:IR 992:TJ 993:TM 994:AZ 995:GE 996:KG 998:UZ";

/// Area codes behind calling code 1 by country (North American Numbering Plan Administrator). One that is assigned later, or
/// that is not geographic (800), belongs to no country here.
const NORTH_AMERICA: [(&str, &str); 25] = [
    (
        "US",
        "201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 220 223 224 225 227 228 229 231 234 235 239 240 \
         248 251 252 253 254 256 260 262 267 269 270 272 274 276 279 281 283 301 302 303 304 305 307 308 309 310 312 313 314 \
         315 316 317 318 319 320 321 323 324 325 326 327 329 330 331 332 334 336 337 339 341 346 347 350 351 352 353 360 361 \
         363 364 369 380 385 386 401 402 404 405 406 407 408 409 410 412 413 414 415 417 419 423 424 425 430 432 434 435 440 \
         442 443 445 447 448 458 463 464 469 470 472 475 478 479 480 484 501 502 503 504 505 507 508 509 510 512 513 515 516 \
         517 518 520 530 531 534 539 540 541 551 557 559 561 562 563 564 567 570 571 572 573 574 575 580 582 585 586 601 602 \
         603 605 606 607 608 609 610 612 614 615 616 617 618 619 620 623 626 628 629 630 631 636 640 641 645 646 650 651 656 \
         657 659 660 661 662 667 669 678 680 681 682 686 689 701 702 703 704 706 707 708 712 713 714 715 716 717 718 719 720 \
         724 725 726 727 728 730 731 732 734 737 738 740 743 747 748 754 757 760 762 763 765 769 770 771 772 773 774 775 779 \
         781 785 786 801 802 803 804 805 806 808 810 812 813 814 815 816 817 818 820 821 826 828 830 831 832 835 838 839 840 \
         843 845 847 848 850 854 856 857 858 859 860 862 863 864 865 870 872 878 901 903 904 906 907 908 909 910 912 913 914 \
         915 916 917 918 919 920 925 928 929 930 931 934 936 937 938 940 941 943 945 947 948 949 951 952 954 956 959 970 971 \
         972 973 975 978 979 980 983 984 985 986 989",
    ),
    (
        "CA",
        "204 226 236 249 250 257 263 273 289 306 343 354 365 367 368 382 403 416 418 428 431 437 438 450 468 474 506 514 519 \
         548 579 581 584 587 604 613 639 647 672 683 705 709 742 753 778 780 782 807 819 825 867 873 879 902 905 942",
    ),
    ("AG", "268"),
    ("AI", "264"),
    ("AS", "684"),
    ("BB", "246"),
    ("BM", "441"),
    ("BS", "242"),
    ("DM", "767"),
    ("DO", "809 829 849"),
    ("GD", "473"),
    ("GU", "671"),
    ("JM", "658 876"),
    ("KN", "869"),
    ("KY", "345"),
    ("LC", "758"),
    ("MP", "670"),
    ("MS", "664"),
    ("PR", "787 939"),
    ("SX", "721"),
    ("TC", "649"),
    ("TT", "868"),
    ("VC", "784"),
    ("VG", "284"),
    ("VI", "340"),
];

static AREA_CODES: LazyLock<[Option<&'static str>; 1_000]> = LazyLock::new(|| {
    let mut countries = [None; 1_000];
    for (country, codes) in NORTH_AMERICA {
        for code in codes.split_ascii_whitespace() {
            countries[code.parse::<usize>().expect("three digits")] = Some(country);
        }
    }
    countries
});

/// Prefixes in order, each with its country if it tells.
static PREFIXES: LazyLock<Vec<(&'static str, Option<&'static str>)>> = LazyLock::new(|| {
    let entries = CALLING_CODES.split_ascii_whitespace().filter_map(|entry| entry.split_once(':'));
    let mut prefixes: Vec<_> = entries.map(|(code, country)| (code, Some(country).filter(|&c| c != "-"))).collect();
    prefixes.sort_unstable();
    prefixes
});

/// The country of the longest known prefix; `None` where no prefix is known.
#[expect(clippy::option_option, reason = "an assigned code without a country is not an unassigned one")]
fn longest_prefix(digits: &str) -> Option<Option<&'static str>> {
    // In sorted order, the prefixes of a number stand before it, the longest one last.
    let before = PREFIXES.partition_point(|&(prefix, _)| prefix <= digits);
    PREFIXES[..before]
        .iter()
        .rev()
        .take_while(|(prefix, _)| prefix.as_bytes()[0] == digits.as_bytes()[0])
        .find(|(prefix, _)| digits.starts_with(prefix))
        .map(|&(_, country)| country)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_numbers() {
        for (text, valid, country, digits) in [
            ("+49 (0)30 901820", true, Some("DE"), "4930901820"),
            ("0049 30 901820", true, Some("DE"), "4930901820"),
            ("+44 20 7946 0958", true, Some("GB"), "442079460958"),
            ("+44 1534 445500", true, Some("JE"), "441534445500"),
            ("+44 7911 123456", true, None, "447911123456"),
            ("+39 06 4882", true, Some("IT"), "39064882"),
            ("+39 06 69812345", true, Some("VA"), "390669812345"),
            ("+1 (212) 555-0123", true, Some("US"), "12125550123"),
            ("tel:+1-416-555-0123", true, Some("CA"), "14165550123"),
            ("+1 876 555 0123", true, Some("JM"), "18765550123"),
            ("+1 800 555 0123", true, None, "18005550123"),
            ("001 212 555 0123", true, Some("US"), "12125550123"),
            ("+1-021-436-2616-2085", false, None, "102143626162085"),
            ("+1 212 155 0123", false, Some("US"), "12121550123"),
            ("+7 495 123-45-67", true, Some("RU"), "74951234567"),
            ("+7 727 123 45 67", true, Some("KZ"), "77271234567"),
            ("+7 123 123 45 67", true, None, "71231234567"),
            ("+590 590 27 12 34", true, None, "590590271234"),
            ("+683 4000", true, Some("NU"), "6834000"),
            ("+870 773 111 632", true, None, "870773111632"),
            ("+210 123 4567", false, None, "2101234567"),
            ("+999 123 4567", false, None, "9991234567"),
            ("(555)355 - 1785", true, None, "5553551785"),
            ("(555) 355-1785 ext. 12", true, None, "5553551785"),
            ("555.355.1785x123", true, None, "5553551785"),
            ("030/901820", true, None, "030901820"),
            ("12345", false, None, "12345"),
            ("0000000000", false, None, "0000000000"),
            ("+4900", false, Some("DE"), "4900"),
            ("call 555 355 1785", false, None, "5553551785"),
            ("555 355 1785 (work)", false, None, "5553551785"),
            ("555-FLOWERS", false, None, "555"),
        ] {
            let phone = Phone::parse(text).unwrap();
            assert_eq!((phone.is_valid(), phone.country(), phone.digits()), (valid, country, digits), "{text}");
            assert_eq!(spelling(text), digits, "{text}");
        }
        for text in ["", "n/a", "+", "1234567890123456", "٣"] {
            assert_eq!(Phone::parse(text), None, "{text}");
        }
    }

    #[test]
    fn tables_are_well_formed() {
        let codes: Vec<&str> = NORTH_AMERICA.iter().flat_map(|(_, codes)| codes.split_ascii_whitespace()).collect();
        assert_eq!(AREA_CODES.iter().flatten().count(), codes.len(), "no code in two countries");
        assert!(codes.iter().all(|code| code.len() == 3 && code.as_bytes()[0] >= b'2'));
        assert_eq!(PREFIXES.len(), CALLING_CODES.split_ascii_whitespace().count());
        assert!(PREFIXES.is_sorted_by(|a, b| a.0 < b.0));
        assert!(PREFIXES.iter().all(|(code, country)| {
            (1..=7).contains(&code.len())
                && code.bytes().all(|b| b.is_ascii_digit())
                && country.is_none_or(|c| c.len() == 2 && c.bytes().all(|b| b.is_ascii_uppercase()))
        }));
        // The codes of E.164 themselves are free of prefixes of each other.
        let codes = || PREFIXES.iter().map(|row| row.0).filter(|code| code.len() <= 3 && !code.starts_with('7'));
        assert!(codes().all(|a| codes().all(|b| a == b || !b.starts_with(a))));
    }

    #[test]
    fn numbers_are_alike_by_their_digits() {
        assert_eq!(similarity("+49 30 901820", "0049-30-901820"), 1.0);
        assert_eq!(similarity("5553551785", "5553551786"), 0.9);
        assert!(similarity("", "5553551785").is_nan());
    }

    proptest! {
        #[test]
        fn the_longest_prefix_wins(digits in "[1-9][0-9]{0,14}") {
            let naive = PREFIXES.iter().filter(|row| digits.starts_with(row.0)).max_by_key(|row| row.0.len()).map(|row| row.1);
            prop_assert_eq!(longest_prefix(&digits), naive);
        }

        #[test]
        fn no_text_breaks_it(text in "(\\+|00|tel:)?[0-9 ()x.é#-]{0,40}", other in "\\PC{0,20}") {
            for text in [&text, &other] {
                let all: usize = text.bytes().filter(u8::is_ascii_digit).count();
                prop_assert!(spelling(text).len() <= all);
                if let Some(phone) = Phone::parse(text) {
                    let same = spelling(text);
                    prop_assert_eq!(phone.digits(), &*same);
                    let _ = (phone.is_valid(), phone.country());
                }
            }
        }
    }
}
