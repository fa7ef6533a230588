//! User agents: browser family, operating system, whether a person's browser or a program, phone or not.
//!
//! Browsers call themselves by the names of others (nearly all say Mozilla and Safari), so that the rules run from the most
//! telling word to the least: the first that applies decides. One pass finds the known words of the text; a browser's
//! version does not matter. New browsers built on Chromium without a name of their own are `chrome`.

/// What a user agent says. Both are levels for categories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agent {
    /// `chrome`, `firefox`, `safari`, `edge`, `opera`, `samsung`, `explorer`, `other` ...; `bot`, `headless` and `library`
    /// for programs.
    pub family: &'static str,
    /// `windows`, `macos`, `ios`, `android`, `linux`, `chromeos`, `other`.
    pub system: &'static str,
    /// A crawler, an automation tool, a headless browser or an HTTP library.
    pub is_bot: bool,
    /// A phone or tablet.
    pub is_mobile: bool,
}

/// Words that tell something: a bit each.
macro_rules! known_words {
    ($($name:ident = $bit:literal: $($word:literal)|+;)*) => {
        $(const $name: u64 = 1 << $bit;)*
        /// The bit of a word in lower case; 0 for a word that tells nothing.
        fn bit(word: &[u8]) -> u64 {
            match word {
                $($($word)|+ => $name,)*
                _ => 0,
            }
        }
    };
}

known_words! {
    BOT = 0: b"bot" | b"crawler" | b"spider" | b"slurp" | b"scraper" | b"facebookexternalhit" | b"mediapartners" | b"lighthouse" | b"pingdom" | b"archiver";
    HEADLESS = 1: b"headlesschrome" | b"headless" | b"phantomjs" | b"slimerjs" | b"selenium" | b"webdriver" | b"puppeteer" | b"playwright" | b"htmlunit" | b"cypress" | b"splash";
    LIBRARY = 2: b"curl" | b"wget" | b"libwww" | b"lwp" | b"python" | b"aiohttp" | b"httpx" | b"scrapy" | b"okhttp" | b"java" | b"httpclient" | b"axios" | b"undici" | b"postmanruntime" | b"insomnia" | b"guzzlehttp" | b"ruby" | b"perl" | b"php" | b"httpie" | b"winhttp" | b"requests" | b"urllib" | b"jersey" | b"reqwest" | b"hyper" | b"restsharp" | b"faraday" | b"mechanize";
    EDGE = 3: b"edg" | b"edge" | b"edga" | b"edgios";
    OPERA = 4: b"opr" | b"opera" | b"opios" | b"opt" | b"opx";
    SAMSUNG = 5: b"samsungbrowser";
    UC = 6: b"ucbrowser" | b"ucweb" | b"ubrowser";
    YANDEX = 7: b"yabrowser" | b"yowser";
    VIVALDI = 8: b"vivaldi";
    DUCK = 9: b"duckduckgo" | b"ddg";
    FACEBOOK = 10: b"fban" | b"fbav" | b"fbios" ;
    INSTAGRAM = 11: b"instagram";
    FIREFOX = 12: b"firefox" | b"fxios" | b"focus" | b"iceweasel";
    CHROME = 13: b"chrome" | b"crios" | b"chromium" | b"crmo";
    EXPLORER = 14: b"msie" | b"trident" | b"iemobile";
    SAFARI = 15: b"safari";
    MOZILLA = 16: b"gecko";
    WINDOWS = 18: b"windows" | b"win" | b"winnt";
    IPHONE = 19: b"iphone" | b"ipod";
    IPAD = 20: b"ipad";
    IOS = 21: b"ios" | b"cfnetwork";
    ANDROID = 22: b"android";
    MAC = 23: b"macintosh" | b"macos" | b"darwin" | b"macppc" | b"macintel";
    CHROME_OS = 24: b"cros";
    LINUX = 25: b"linux" | b"ubuntu" | b"fedora" | b"freebsd" | b"openbsd" | b"netbsd";
    MOBILE = 26: b"mobile" | b"mobi" | b"tablet" | b"kindle" | b"silk" | b"blackberry" | b"playbook" | b"symbian" | b"symbianos" | b"midp" | b"phone";
    SEAMONKEY = 27: b"seamonkey" | b"palemoon" | b"waterfox";
    MOZILLA_MARK = 28: b"mozilla";
    MAC_OS = 29: b"mac";
    VERSION = 30: b"version";
    GO = 31: b"go";
    NODE = 32: b"node";
    HTTP = 33: b"http";
    DALVIK = 34: b"dalvik";
}

/// Words this long or longer are no known ones.
const MAX_WORD: usize = 24;

/// Known words of a text: runs of ASCII letters.
fn read_words(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut found = 0;
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_alphabetic() {
            at += 1;
            continue;
        }
        let start = at;
        let mut word = [0; MAX_WORD];
        while at < bytes.len() && bytes[at].is_ascii_alphabetic() {
            if let Some(letter) = word.get_mut(at - start) {
                *letter = bytes[at].to_ascii_lowercase();
            }
            at += 1;
        }
        let len = at - start;
        if (2..MAX_WORD).contains(&len) {
            let word = &word[..len];
            // Short names are also codes of languages (`opr`, `go`): as a product they have a version behind them.
            let is_product = bytes.get(at) == Some(&b'/');
            let bits = bit(word);
            found |= if len > 3 || is_product || bits & (BOT | WINDOWS | IOS | MAC_OS | GO) != 0 { bits } else { 0 };
            found |= if is_crawler(word) { BOT } else { 0 };
        }
    }
    found
}

/// Crawlers mostly say what they are at the end of their name (`Googlebot`, `Baiduspider`). Cubot makes phones.
fn is_crawler(word: &[u8]) -> bool {
    word.ends_with(b"spider") || word.ends_with(b"crawler") || word.ends_with(b"bot") && word != b"cubot"
}

impl Agent {
    /// Reads a user agent; `None` for a text without letters and digits. One pass.
    pub fn parse(text: &str) -> Option<Self> {
        if !text.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let words = read_words(text);
        let has = |any: u64| words & any != 0;
        let all = |all: u64| words & all == all;
        // Language names of libraries count only where no browser speaks: some browsers list plug-ins.
        let is_library =
            has(LIBRARY | DALVIK) && !has(MOZILLA_MARK) || all(GO | HTTP) || has(NODE) && !has(MOZILLA_MARK);
        let windows_phone = has(WINDOWS) && text.contains("Windows Phone");

        let family = if has(HEADLESS) {
            "headless"
        } else if has(BOT) {
            "bot"
        } else if is_library {
            "library"
        } else if has(FACEBOOK) {
            "facebook"
        } else if has(INSTAGRAM) {
            "instagram"
        } else if has(EDGE) {
            "edge"
        } else if has(OPERA) {
            "opera"
        } else if has(SAMSUNG) {
            "samsung"
        } else if has(UC) {
            "uc"
        } else if has(YANDEX) {
            "yandex"
        } else if has(VIVALDI) {
            "vivaldi"
        } else if has(DUCK) {
            "duckduckgo"
        } else if has(EXPLORER) {
            "explorer"
        } else if has(SEAMONKEY) {
            "other"
        } else if has(FIREFOX) {
            "firefox"
        } else if has(CHROME) {
            "chrome"
        } else if has(ANDROID) && has(SAFARI) {
            // The browser of Android before Chrome.
            "android"
        } else if has(SAFARI) || has(IPHONE | IPAD) && has(MOZILLA) {
            "safari"
        } else {
            "other"
        };
        // Windows phones name Android and iPhone too; Android names Linux; iPhones say "like Mac OS X".
        let system = if windows_phone {
            "windows_phone"
        } else if has(IPHONE | IPAD) {
            "ios"
        } else if has(ANDROID | DALVIK) {
            "android"
        } else if has(CHROME_OS) {
            "chromeos"
        } else if has(WINDOWS) {
            "windows"
        } else if has(MAC | MAC_OS) {
            "macos"
        } else if has(IOS) {
            "ios"
        } else if has(LINUX) {
            "linux"
        } else {
            "other"
        };
        let is_mobile = windows_phone || has(IPHONE | IPAD | ANDROID | MOBILE | DALVIK);
        Some(Self { family, system, is_bot: has(HEADLESS | BOT) || is_library, is_mobile })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_agents() {
        const WEBKIT: &str = "AppleWebKit/537.36 (KHTML, like Gecko)";
        let windows = format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/120.0.0.0 Safari/537.36");
        let android = format!("Mozilla/5.0 (Linux; Android 13; SM-S901B) {WEBKIT}");
        for (text, family, system, bot, mobile) in [
            (windows.clone(), "chrome", "windows", false, false),
            (format!("{windows} Edg/120.0"), "edge", "windows", false, false),
            (format!("{windows} OPR/106.0"), "opera", "windows", false, false),
            (format!("{windows} Vivaldi/6.5"), "vivaldi", "windows", false, false),
            (format!("{windows} YaBrowser/23.9"), "yandex", "windows", false, false),
            (windows.replace("Chrome/", "HeadlessChrome/"), "headless", "windows", true, false),
            (format!("{android} Chrome/112.0.0.0 Mobile Safari/537.36"), "chrome", "android", false, true),
            (format!("{android} SamsungBrowser/22.0 Chrome/111.0 Mobile Safari/537.36"), "samsung", "android", false, true),
            (format!("{android} Version/4.0 Mobile Safari/534.30"), "android", "android", false, true),
            ("Mozilla/5.0 (Linux; Android 10; CUBOT NOTE 20) Chrome/112.0 Mobile".into(), "chrome", "android", false, true),
            ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) Chrome/119.0 Safari/537.36".into(), "chrome", "chromeos", false, false),
            ("Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/120.0".into(), "firefox", "linux", false, false),
            ("Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko".into(), "explorer", "windows", false, false),
            ("Mozilla/4.0 (compatible; MSIE 9.0; Windows 98; Win 9x 4.90)".into(), "explorer", "windows", false, false),
            ("Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) Chrome/52.0 Mobile Safari/537.36 Edge/15.15".into(), "edge", "windows_phone", false, true),
            ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Safari/605.1.15".into(), "safari", "macos", false, false),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 Version/17.1 Mobile/15E148 Safari/604.1".into(), "safari", "ios", false, true),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 CriOS/119.0 Mobile/15E148 Safari/604.1".into(), "chrome", "ios", false, true),
            ("Mozilla/5.0 (iPad; CPU OS 16_1 like Mac OS X) AppleWebKit/605.1.15 FxiOS/119.0 Mobile/15E148 Safari/605.1.15".into(), "firefox", "ios", false, true),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) Mobile/20G75 [FBAN/FBIOS;FBAV/435.0]".into(), "facebook", "ios", false, true),
            ("Opera/9.70.(X11; Linux x86_64; crh-UA) Presto/2.9.190 Version/12.00".into(), "opera", "linux", false, false),
            ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)".into(), "bot", "other", true, false),
            ("Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)".into(), "bot", "other", true, false),
            ("python-requests/2.28.1".into(), "library", "other", true, false),
            ("curl/8.4.0".into(), "library", "other", true, false),
            ("Go-http-client/1.1".into(), "library", "other", true, false),
            ("node-fetch/1.0 (+https://github.com/bitinn/node-fetch)".into(), "library", "other", true, false),
            ("node".into(), "library", "other", true, false),
            ("Dalvik/2.1.0 (Linux; U; Android 9; SM-G960F)".into(), "library", "android", true, true),
            ("SomethingElse 1.0".into(), "other", "other", false, false),
            ("17".into(), "other", "other", false, false),
        ] {
            let expected = Agent { family, system, is_bot: bot, is_mobile: mobile };
            assert_eq!(Agent::parse(&text), Some(expected), "{text}");
        }
        assert_eq!(Agent::parse(" - "), None);
    }

    #[test]
    fn codes_of_languages_are_no_products() {
        let text = "Mozilla/5.0 (X11; Linux i686; rv:1.9.6.20; opr-IN) Gecko/2011 Firefox/3.6.4";
        assert_eq!(Agent::parse(text).unwrap().family, "firefox");
        let text = "Mozilla/5.0 (Windows NT 6.1; php-UA) Chrome/30.0 Safari/537.36";
        assert!(!Agent::parse(text).unwrap().is_bot);
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "\\PC{0,80}", long in "[a-zé]{0,60}") {
            let _ = Agent::parse(&text);
            let _ = Agent::parse(&long);
            prop_assert_eq!(Agent::parse(&text), Agent::parse(&format!(" {text} ")));
        }
    }
}
